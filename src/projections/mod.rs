//! Read models: folds of the log, with the queries that read them.
//!
//! Invariants: the rows of a model and its checkpoint change in one transaction, and are a function of the log's events up to
//! the checkpoint. A model that cannot apply an event stops there, visibly; the others go on. Rows hold personal fields sealed
//! only: whoever answers a reader opens them.
//!
//! One folder or file for each read model: [`rooms`] (with the people in them), [`sessions`], [`messages`], [`activity`],
//! [`usage`]. [`rows`] is what their tables have in common, [`concurrency`] how the last two count who is there at a time;
//! [`live`] keeps the models up with the log, [`read`] answers from them, [`cache`] keeps what is read often, [`rebuild`] folds
//! them anew. [`retention`] lets old months go. [`archives`] takes out of the database what all of them have passed.

pub mod activity;
pub mod apply;
pub mod archives;
pub mod cache;
pub mod checkpoint;
pub mod concurrency;
pub mod entry;
pub mod forgotten;
pub mod live;
pub mod messages;
pub mod model;
pub mod overview;
pub mod read;
pub mod rebuild;
pub mod replicas;
pub mod retention;
pub mod rooms;
pub mod rows;
pub mod sessions;
pub mod usage;

use activity::Activity;
use messages::Messages;
use model::ModelInfo;
use rooms::Rooms;
use sessions::Sessions;
use usage::Usage;

/// All read models.
pub const MODELS: &[ModelInfo] = &[
    ModelInfo::of::<Rooms>(),
    ModelInfo::of::<Sessions>(),
    ModelInfo::of::<Messages>(),
    ModelInfo::of::<Activity>(),
    ModelInfo::of::<Usage>(),
];
