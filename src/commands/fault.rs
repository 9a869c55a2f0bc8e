//! Faults in the body of a command, by field. [`crate::json`] checks the text first.

use serde::de::DeserializeOwned;

use crate::json::{self, BadJson, CheckedJson, FreeJson};

pub use crate::json::FieldFault;

/// How deep a caller's own JSON may nest: `[[1]]` is 2 deep.
pub const MAX_METADATA_DEPTH: usize = 32;

/// Why a command was not understood.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CommandFault {
    #[error("there is no command {0:?}")]
    Unknown(String),
    #[error("{}", .0.detail)]
    NotJson(BadJson),
    /// At least one.
    #[error("{}", Self::first(.0))]
    Fields(Vec<FieldFault>),
}

impl CommandFault {
    fn first(faults: &[FieldFault]) -> String {
        match faults {
            [] => "the body is invalid".into(),
            [fault, ..] if fault.field.is_empty() => fault.detail.clone(),
            [fault, ..] => format!("{}: {}", fault.field, fault.detail),
        }
    }
}

impl From<BadJson> for CommandFault {
    fn from(bad: BadJson) -> Self {
        if bad.well_formed {
            Self::Fields(vec![FieldFault { field: bad.field, detail: bad.detail }])
        } else {
            Self::NotJson(bad)
        }
    }
}

/// Gathers the faults of one body.
#[derive(Debug, Default)]
pub struct FieldFaults(Vec<FieldFault>);

impl FieldFaults {
    pub fn add(&mut self, field: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldFault { field: field.into(), detail: detail.into() });
    }

    /// A text of 1 to `max` characters, on one line: no control characters, no white space around it.
    pub fn line(&mut self, field: &str, text: &str, max: usize) {
        let chars = text.chars().count();
        if !(1..=max).contains(&chars) {
            self.add(field, format!("has {chars} characters; 1 to {max} are allowed"));
        } else if text.chars().any(char::is_control) {
            self.add(field, "holds control characters, such as a line break");
        } else if text.trim() != text {
            self.add(field, "begins or ends with white space");
        }
    }

    /// A text of 1 to `max` bytes of UTF-8.
    pub fn text(&mut self, field: &str, text: &str, max: usize) {
        if !(1..=max).contains(&text.len()) {
            self.add(field, format!("has {} bytes of UTF-8; 1 to {max} are allowed", text.len()));
        }
    }

    /// A caller's own JSON, of at most `max` bytes as compact text.
    pub fn metadata(&mut self, field: &str, value: &FreeJson, max: usize) {
        let bytes = value.text().len();
        if bytes > max {
            self.add(field, format!("is {bytes} bytes of JSON; at most {max} are allowed"));
        }
        if value.depth() > MAX_METADATA_DEPTH {
            self.add(field, format!("nests deeper than {MAX_METADATA_DEPTH} levels"));
        }
    }

    pub fn range(&mut self, field: &str, number: u64, min: u64, max: u64) {
        if !(min..=max).contains(&number) {
            self.add(field, format!("is {number}; {min} to {max} are allowed"));
        }
    }

    /// A list or map of at most `max`.
    pub fn count(&mut self, field: &str, count: usize, max: usize) {
        if count > max {
            self.add(field, format!("has {count} entries; at most {max} are allowed"));
        }
    }

    pub fn none(self) -> Result<(), CommandFault> {
        if self.0.is_empty() { Ok(()) } else { Err(CommandFault::Fields(self.0)) }
    }
}

/// Reads the body of a command out of text that has been looked through.
pub fn read<T: DeserializeOwned>(body: CheckedJson<'_>) -> Result<T, CommandFault> {
    json::read(body).map_err(|fault| CommandFault::Fields(vec![fault]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guard_says_of_a_body_is_told_as_a_fault_of_its_field() {
        let of = |text: &str| CommandFault::from(json::check(text.as_bytes()).expect_err(text));
        assert!(matches!(of("{"), CommandFault::NotJson(_)));
        assert_eq!(of("{\"a\": 1, \"a\": 2}").to_string(), "a: is given twice");
    }

    #[test]
    fn metadata_has_bounds_in_bytes_and_in_depth() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (levels, max, count) in [(32, 64, 0), (33, 100, 1), (32, 63, 1)] {
            let mut faults = FieldFaults::default();
            faults.metadata("any", &serde_json::from_str(&nested(levels)).expect("JSON"), max);
            assert_eq!(faults.0.len(), count, "{levels} levels, at most {max} bytes");
        }
    }
}
