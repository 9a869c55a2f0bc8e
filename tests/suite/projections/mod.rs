//! Read models: folds, workers, rebuilds, queries.

mod attendance;
mod counts;
mod discarded;
mod folds;
mod kept;
mod lists;
pub mod live;
mod memory;
mod people;
mod plans;
mod reads;
mod rebuilds;
mod retention;
pub mod story;
mod wild;

pub use story::Dice;
