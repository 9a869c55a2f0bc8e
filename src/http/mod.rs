//! Routes, extractors, problem responses, OpenAPI.

pub mod cursor;
pub mod event_view;
pub mod request;
pub mod stream;
