//! The room is being recorded, or no longer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::events::ids::RecordingId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingStarted {
    pub recording: RecordingId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingStopped {
    pub recording: RecordingId,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecordingFailed {
    pub recording: RecordingId,
    /// The recorder's own words, at most 256 characters.
    pub reason: String,
}
