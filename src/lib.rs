//! Convoke: the event-sourced backend for live rooms. `docs/ARCHITECTURE.md` walks through it.

pub mod cli;
pub mod commands;
pub mod config;
pub mod database;
pub mod events;
pub mod http;
pub mod ids;
pub mod json;
pub mod live;
pub mod projections;
pub mod resilience;
pub mod security;
pub mod tasks;
pub mod telemetry;
