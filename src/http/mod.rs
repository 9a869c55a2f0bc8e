//! Routes, extractors, problem responses, OpenAPI.
