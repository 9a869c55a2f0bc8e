//! Rooms out of layers: memory, a real Redis, PostgreSQL. Nothing that is answered is stale, whatever happens to Redis.

mod faults;
mod fresh;
mod hammer;
mod nodes;
mod operating;
mod replicated;
mod rules;
mod secured;
