//! JSON from outside: one reader that everything passes before anything is believed, whether it came over HTTP, in a list of
//! commands or in a line of an import.
//!
//! [`check`] refuses what JSON allows and the log, or a reader after us, does not take, and names the field at fault.
//! [`read`] makes a value of what has passed. [`FreeJson`] keeps a caller's own JSON exactly, numbers included. [`whole`] reads
//! integers, [`object`] reads structs, [`words`] says in plain words what a type did not take.

mod check;
mod free;
pub mod object;
mod read;
mod scan;
pub mod whole;
pub mod words;

pub use check::{BadJson, Checked, check, check_or_empty};
pub use free::FreeJson;
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
