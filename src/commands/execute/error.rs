//! Why a command was not carried out.

use std::sync::Arc;

use crate::commands::refusal::Refusal;
use crate::events::log::LogError;
use crate::ids::RoomVersion;
use crate::security::sealing::KeyError;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error(transparent)]
    Refused(Box<Refusal>),
    #[error("the room is at version {actual}")]
    VersionMismatch { actual: RoomVersion },
    #[error("the idempotency key was used with another request")]
    KeyReused,
    #[error("others changed the room at every attempt")]
    Conflict,
    #[error("too many commands are waiting")]
    Busy,
    #[error(transparent)]
    Unavailable(Arc<LogError>),
    #[error("personal fields cannot be sealed: {0}")]
    Sealing(Arc<KeyError>),
    #[error("the server is stopping")]
    Stopping,
}

impl ExecuteError {
    /// Whether it is the room that stands in the way as it is by now: at an earlier time the same request may have been
    /// accepted.
    pub fn is_of_the_room(&self) -> bool {
        matches!(self, ExecuteError::Refused(_) | ExecuteError::VersionMismatch { .. })
    }
}

/// Which command of a group was not carried out, and why; none of them was.
#[derive(Debug)]
pub struct AtomicError {
    pub index: usize,
    pub error: ExecuteError,
}
