//! Bounds of a room's settings, for the commands that take them.

use crate::commands::fault::Faults;
use crate::events::room::{MAX_LABEL_CHARS, MAX_LABELS, MAX_METADATA_BYTES, MAX_PARTICIPANTS, SettingsPatch};

/// A year.
const MAX_TIMEOUT_S: u32 = 31_536_000;
/// A day.
const MAX_DEPARTURE_TIMEOUT_S: u32 = 86_400;

/// Adds what is out of bounds in `patch`; `prefix` is the path to it, with its dot.
pub fn validate(patch: &SettingsPatch, prefix: &str, faults: &mut Faults) {
    let numbers = [
        ("max_participants", patch.max_participants.flatten(), MAX_PARTICIPANTS),
        ("empty_timeout_s", patch.empty_timeout_s.flatten(), MAX_TIMEOUT_S),
        ("departure_timeout_s", patch.departure_timeout_s, MAX_DEPARTURE_TIMEOUT_S),
        ("max_duration_s", patch.max_duration_s.flatten(), MAX_TIMEOUT_S),
    ];
    for (field, number, max) in numbers {
        if let Some(number) = number {
            faults.range(&format!("{prefix}{field}"), number.into(), 1, max.into());
        }
    }
    if let Some(metadata) = &patch.metadata {
        faults.metadata(&format!("{prefix}metadata"), metadata, MAX_METADATA_BYTES);
    }
    if let Some(labels) = &patch.labels {
        faults.count(&format!("{prefix}labels"), labels.len(), MAX_LABELS);
        for (key, value) in labels.iter().take(MAX_LABELS) {
            let field = format!("{prefix}labels.{key}");
            faults.line(&field, key, MAX_LABEL_CHARS);
            faults.line(&field, value, MAX_LABEL_CHARS);
        }
    }
}
