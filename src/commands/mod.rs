//! Commands: requests that a rule either turns into facts or refuses.
//!
//! [`command`] says what a command is, [`refusal`] why one may be refused, [`fault`] what can be wrong with a body,
//! [`fingerprint`] which requests are the same.
//! [`room`] holds the state of a room and one file for each command; nothing in there reads a clock, a database or a
//! random number. [`execute`] carries commands out, [`deadlines`] gives those that time
//! gives, [`import`] those of the past.

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
