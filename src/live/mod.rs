//! What live readers use: the rooms in use on this node as the log has them ([`rooms`]), who may see what of them
//! ([`viewer`]), and events as readers get them. Above commands and projections, below everything that speaks a protocol.
//!
//! The way of an event: [`rooms`] applies it to its room's state, [`hub`] hands it to those who subscribed, [`follow`] joins
//! history and what is live for each reader, [`renderer`] leaves out what is not for the reader, and [`published`] keeps what was
//! rendered for all who see the event alike.

pub mod cache;
pub mod cursor;
pub mod event_view;
pub mod follow;
pub mod hub;
mod opened_at;
pub mod pattern;
pub mod published;
pub mod renderer;
pub mod rooms;
pub mod snapshots;
mod texts;
pub mod viewer;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use self::hub::EventHub;
use self::rooms::{RoomStates, StateError};
use crate::events::log::{EventLog, LogError};
use crate::ids::Position;
use crate::projections::live::ProjectionProgress;
use crate::projections::read::{ReadError, ReadModels};
use crate::security::sealing::{KeyError, Sealer};
use crate::telemetry::metrics::Metrics;

/// The parts of [`Live`].
pub struct LiveParts {
    /// The rooms in use on this node.
    pub rooms: RoomStates,
    pub hub: EventHub,
    /// Opens personal fields.
    pub sealer: Sealer,
    pub metrics: Metrics,
}

/// The live part of a node. Cheap to clone.
#[derive(Clone)]
pub struct Live(Arc<LiveParts>);

impl std::ops::Deref for Live {
    type Target = LiveParts;

    fn deref(&self) -> &LiveParts {
        &self.0
    }
}

impl Live {
    pub fn new(parts: LiveParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Over connections for readers.
    pub fn log(&self) -> &EventLog {
        &self.rooms.parts().log
    }

    fn models(&self) -> &ReadModels {
        &self.rooms.parts().models
    }

    fn progress(&self) -> &ProjectionProgress {
        &self.rooms.parts().progress
    }

    /// Cancelled when the process stops.
    fn stop(&self) -> &CancellationToken {
        &self.rooms.parts().stop
    }
}

/// Why events cannot be read or shown.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("event {position} cannot be written: {error}")]
    Json { position: Position, error: serde_json::Error },
}
