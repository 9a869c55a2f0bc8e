//! Routes, extractors, problem responses, OpenAPI.

pub mod cursor;
pub mod request;
