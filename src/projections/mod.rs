//! Read models: folds of the log, with the queries that read them.
//!
//! Invariants: the rows of a model and its checkpoint change in one transaction, and are a function of the log's events up to
//! the checkpoint. A model that cannot apply an event stops there, visibly; the others go on. Rows hold personal fields sealed
//! only: whoever answers a reader opens them.
//!
//! One folder or file for each read model: [`rooms`] (with the people in them), [`sessions`], [`messages`]. [`rows`] is what
//! their tables have in common.

pub mod entry;
pub mod messages;
pub mod model;
pub mod rooms;
pub mod rows;
pub mod sessions;
