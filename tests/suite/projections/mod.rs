//! Read models: folds, workers, rebuilds, queries.

mod folds;
mod memory;
mod story;
