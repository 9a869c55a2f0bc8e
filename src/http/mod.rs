//! Routes, extractors, problem responses, OpenAPI and AsyncAPI.
//!
//! [`serve`] is the server under the routes, [`middleware`] what stands around each of them, [`problem`] how a client
//! is told that something was not done. [`request`] reads what a caller says, [`stream`] writes what happens as it
//! happens.

pub mod api;
pub mod asyncapi;
mod attendance;
mod batch;
pub mod body;
mod command_request;
mod commands_of_tenant;
mod commands_run;
mod consistent_reads;
pub mod description;
pub mod docs;
mod events;
mod events_answer;
mod events_description;
mod events_request;
pub mod health;
mod json_answer;
mod log;
mod messages;
pub mod metrics;
pub mod middleware;
pub mod openapi;
mod participants;
mod personal;
pub mod problem;
mod projections;
pub mod request;
mod rights;
mod room_activity;
mod room_events;
mod room_version;
mod room_view;
mod rooms_create;
mod rooms_list;
pub mod routes;
pub mod serve;
mod sessions;
mod spool;
pub mod stream;
mod timeline;
mod usage;
