//! Routes, extractors, problem responses, OpenAPI.
//!
//! [`serve`] is the server under the routes, [`guard`] what stands around each of them, [`problem`] how a client is told
//! that something was not done. [`request`] reads what a caller says, [`stream`] writes what happens as it happens.

pub mod api;
pub mod body;
mod command_request;
mod commands_run;
pub mod cursor;
pub mod event_view;
mod events;
mod events_answer;
mod events_request;
pub mod guard;
pub mod health;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod reader;
pub mod request;
mod rights;
mod room_events;
mod rooms_create;
pub mod routes;
pub mod serve;
pub mod stream;
