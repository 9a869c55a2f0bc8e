//! Read models: folds, workers, rebuilds, queries.

mod attendance;
mod counts;
mod folds;
mod live;
mod memory;
mod plans;
mod reads;
mod rebuilds;
mod story;
mod wild;

pub use story::Dice;
