//! JSON from outside: one parser for everything that comes over HTTP, in lists of commands and in lines of an import.
//!
//! `check` refuses JSON that the log or a later reader does not accept, and names the field. `read` deserialises checked
//! text. [`FreeJson`] keeps a caller's own JSON exactly, numbers included. [`whole_number`] reads integers, [`object`]
//! reads structs, and [`words`] translates serde's messages.

mod check;
mod free_json;
pub mod object;
mod read;
mod scan;
pub mod whole_number;
pub mod words;

pub use check::{BadJson, CheckedJson, check, check_or_empty};
pub use free_json::FreeJson;
pub use read::{FieldFault, join, read};
pub use scan::MAX_DEPTH;

/// A text in double quotes, as it stands in sentences: where it begins and ends is never in doubt.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text is JSON once it is escaped")
}

/// For `#[serde(skip_serializing_if)]`.
pub fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
