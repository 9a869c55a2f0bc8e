//! Commands: requests that a rule turns into events or refuses.
//!
//! [`command`] defines a command, [`refusal`] the reasons of a refusal, [`fault`] the faults of a body, and [`fingerprint`] the
//! equality of requests. [`room`] holds the state of a room and a file for each command; this part uses no clock, no database and
//! no random numbers. [`execute`] executes commands, [`deadlines`] issues those that are due, and [`import`] those of the past.

pub mod command;
pub mod context;
pub mod deadlines;
pub mod execute;
pub mod fault;
pub mod fingerprint;
pub mod import;
pub mod refusal;
pub mod room;
pub mod tenant;
