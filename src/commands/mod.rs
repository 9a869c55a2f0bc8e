//! Commands: requests that a rule either turns into facts or refuses.
//!
//! [`room`] holds the state of a room and one file for each command; nothing in there reads a clock, a database or a
//! random number.

pub mod context;
