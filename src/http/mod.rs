//! Routes, extractors, problem responses, OpenAPI.
//!
//! [`serve`] is the server under the routes, [`guard`] what stands around each of them, [`problem`] how a client is told
//! that something was not done. [`request`] reads what a caller says, [`stream`] writes what happens as it happens.

pub mod body;
pub mod cursor;
pub mod event_view;
pub mod guard;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod reader;
pub mod request;
pub mod serve;
pub mod stream;
