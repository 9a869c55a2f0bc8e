//! Bounds of a room's settings, for the commands that take them.

use crate::commands::fault::FieldFaults;
use crate::events::room::{MAX_LABEL_CHARS, MAX_LABELS, MAX_METADATA_BYTES, MAX_PARTICIPANTS, SettingsPatch};

/// A year.
const MAX_TIMEOUT_S: u32 = 31_536_000;
/// A day.
const MAX_DEPARTURE_TIMEOUT_S: u32 = 86_400;

/// Adds what is out of bounds in `patch`; `prefix` is the path to it, with its dot.
pub fn validate(patch: &SettingsPatch, prefix: &str, faults: &mut FieldFaults) {
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
            label_key(&field, key, faults);
            faults.line(&field, value, MAX_LABEL_CHARS);
        }
    }
}

/// Lists are filtered by `?label=KEY:VALUE`: a key that held a colon would be taken and never be found.
fn label_key(field: &str, key: &str, faults: &mut FieldFaults) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'/' | b'-');
    if !(1..=MAX_LABEL_CHARS).contains(&key.len()) || !key.bytes().all(plain) {
        faults.add(
            field,
            format!("the key of a label is 1 to {MAX_LABEL_CHARS} of A-Z, a-z, 0-9, '.', '_', '/' and '-'"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(key: &str) -> usize {
        let labels = [(key.to_owned(), "a value: of any kind".to_owned())].into();
        let mut faults = FieldFaults::default();
        validate(&SettingsPatch { labels: Some(labels), ..SettingsPatch::default() }, "", &mut faults);
        faults.none().map_or_else(|_| 1, |()| 0)
    }

    #[test]
    fn the_key_of_a_label_is_one_that_lists_can_name() {
        for good in ["a", "team", "app.kubernetes.io/name", "A-1_b", &"x".repeat(63)] {
            assert_eq!(faults(good), 0, "{good}");
        }
        for bad in ["", "a:b", ":", "a b", "é", "a\n", "a=b", "a,b", &"x".repeat(64)] {
            assert_eq!(faults(bad), 1, "{bad}");
        }
    }
}
