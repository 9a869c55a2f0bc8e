//! Read models: folds, workers, rebuilds, queries.

mod folds;
mod live;
mod memory;
mod reads;
mod rebuilds;
mod story;
