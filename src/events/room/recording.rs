//! The room is being recorded, or no longer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::RecordingId;

/// A recorder took up its work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingStarted {
    pub recording: RecordingId,
}

/// The recording was ended as asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingStopped {
    pub recording: RecordingId,
}

/// The recording ended by itself; what it holds so far may be incomplete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingFailed {
    pub recording: RecordingId,
    /// The recorder's own words, at most 256 characters.
    pub reason: String,
}
