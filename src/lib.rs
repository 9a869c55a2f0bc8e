//! Convoke: the event-sourced backend for live rooms. `docs/ARCHITECTURE.md` walks through it.

pub mod commands;
pub mod events;
pub mod security;
