//! A person is erased: by whom it may be ordered, what it changes and what not, and that a search finds nothing afterwards.

mod at_once;
mod killed;
mod rights;
mod searching;
mod whole;

use serde_json::json;

use crate::api::{Answer, Service};

/// The command `erase-person`, by itself.
pub async fn erase(service: &Service, token: &str, identity: &str) -> Answer {
    Answer::of(service.post(token, "/v1/commands/erase-person", &json!({ "identity": identity }))).await
}

/// The events that an answer tells of.
pub fn written(answer: &Answer) -> usize {
    answer.body["events"].as_array().unwrap().len()
}
