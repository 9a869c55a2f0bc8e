//! Room states in memory and their snapshots in a real Redis: nothing that is answered is stale, whatever happens to Redis.

mod faults;
mod fresh;
mod hammer;
mod nodes;
mod operating;
mod rules;
mod secured;
