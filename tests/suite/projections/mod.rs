//! Read models: folds, workers, rebuilds, queries.

mod attendance;
mod counts;
mod discarded;
mod folds;
pub mod live;
mod lists;
mod memory;
mod plans;
mod reads;
mod rebuilds;
mod retention;
pub mod story;
mod wild;

pub use story::Dice;
