//! Routes, extractors, problem responses, OpenAPI.
//!
//! [`problem`] is how a client is told that something was not done.

pub mod body;
pub mod cursor;
pub mod event_view;
pub mod health;
pub mod metrics;
pub mod problem;
pub mod reader;
pub mod request;
pub mod stream;
