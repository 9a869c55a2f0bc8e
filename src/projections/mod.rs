//! Read models (projections of the log) and their queries.
//!
//! Invariants: the rows of a model and its checkpoint change in one transaction, and are a function of the events up to the
//! checkpoint. A model stops visibly at an event that it cannot apply; the others continue. Rows hold personal fields sealed; the
//! code that answers a reader decrypts them.
//!
//! Each read model has a folder or file: [`rooms`] (with the people in them), [`sessions`], [`messages`], [`activity`],
//! [`usage`]. [`rows`] holds what their tables share, and [`concurrency`] the counting of concurrent sessions. [`live`] keeps the
//! models up to date, [`read`] queries them, [`rebuild`] folds them again from the first event, and
//! [`retention`] drops expired months. [`archives`] moves partitions that all models have passed out of the database.

pub mod activity;
pub mod apply;
pub mod archives;
pub mod checkpoint;
pub mod concurrency;
pub mod decoded_event;
pub mod live;
pub mod messages;
pub mod model;
pub mod overview;
pub mod read;
pub mod rebuild;
pub mod replicas;
pub mod retention;
pub mod retention_filter;
pub mod rooms;
pub mod rows;
pub mod sessions;
pub mod usage;

use activity::ActivityModel;
use messages::MessagesModel;
use model::ModelInfo;
use rooms::RoomsModel;
use sessions::SessionsModel;
use usage::UsageModel;

/// All read models.
pub const MODELS: &[ModelInfo] = &[
    ModelInfo::of::<RoomsModel>(),
    ModelInfo::of::<SessionsModel>(),
    ModelInfo::of::<MessagesModel>(),
    ModelInfo::of::<ActivityModel>(),
    ModelInfo::of::<UsageModel>(),
];
