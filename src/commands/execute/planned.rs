//! What a decided batch is made of: its rooms with what will be written of them, and the answers if it is.

use super::error::ExecuteError;
use super::load::LoadedRoom;
use super::pending_commands::PendingCommands;
use crate::events::log::append::{OutcomeAt, RoomAppend};
use crate::events::time::Timestamp;
use crate::ids::{RoomId, RoomKey, RoomVersion};

/// A room in the batch: what will be written of it, and its state as if it were.
pub struct PlannedRoom {
    pub append: RoomAppend,
    pub room: LoadedRoom,
}

impl PlannedRoom {
    pub fn new(unit: u32, key: RoomKey, room: LoadedRoom) -> Self {
        let append = RoomAppend {
            unit,
            key,
            expected: room.version,
            chain: room.chain,
            events: Vec::new(),
            names: Vec::new(),
            outcomes: Vec::new(),
        };
        Self { append, room }
    }

    /// Where an answer is true that speaks of the room as it is by now.
    pub fn place(&self, now: Timestamp) -> OutcomeAt {
        match (self.append.events.len().checked_sub(1), self.room.recorded_at) {
            (Some(last), _) => OutcomeAt::Event(last),
            (None, Some(recorded_at)) => OutcomeAt::Already { position: self.room.position, recorded_at },
            // A room without events takes no command but the one that creates it, which writes; of a tenant it may be that
            // nothing was ever written.
            (None, None) => OutcomeAt::Already { position: 0, recorded_at: now },
        }
    }
}

/// The answer to one command, but for its place in the log.
pub struct PlannedOutcome {
    /// Index of the room it was for.
    pub room: usize,
    pub about: RoomId,
    pub room_version: RoomVersion,
    pub status: u16,
    /// Empty where nobody asks for it.
    pub kept: String,
    pub at: OutcomeAt,
    /// How many events it writes.
    pub events: usize,
}

/// What a submission will be answered once the batch is written.
pub struct PlannedCommands<T> {
    pub submission: PendingCommands<T>,
    pub unit: u32,
    pub result: Result<Vec<PlannedOutcome>, (usize, ExecuteError)>,
}
