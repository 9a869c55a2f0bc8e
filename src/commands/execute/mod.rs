//! Executing: from a request to a durable answer, in one direction.
//!
//! ```text
//! Executor::enqueue ─► Queue collects a batch ─► Plan decides it ─► Writer appends it ─► resolve answers ─► Receipt
//! ```
//!
//! [`executor`] puts a [`request`] into the queue and gives a receipt; [`queue`] collects what waits into a batch and loads
//! the rooms; [`writer`] has [`plan`] decide the batch in memory, room after room, and appends it in one transaction;
//! [`resolve`] answers each [`submission`] or puts it off. Each file uses only those behind it; a test holds that.
//!
//! One [`writer::Writer`] a process owns the states of the rooms it lately wrote. Commands that wait at the same time are decided
//! one after another and committed together, those of one room too, so that a room takes as many commands as the log takes
//! events, not one a commit. Any number of processes may do this on one log: what another wrote meanwhile shows as a version
//! that does not fit; the room is then loaded anew and the command decided again, a bounded number of times.
//!
//! What holds: a command is answered only when its events are durable, or when its refusal is true of the room as the log
//! has it; the same idempotency key gives the same answer, byte for byte; refusals change nothing.

mod answer;
mod encode;
mod erased;
mod error;
mod executor;
pub mod intake;
mod keys;
mod limits;
pub mod load;
pub mod lookup;
mod plan;
mod planned;
mod queue;
mod recent;
mod request;
mod resolve;
mod rooms;
mod submission;
pub mod writer;

pub use self::answer::Outcome;
pub use self::error::{AtomicError, ExecuteError};
pub use self::executor::{Executor, GroupReceipt, Receipt};
pub use self::limits::Limits;
pub use self::request::{Idempotency, Request};
pub use self::resolve::Committed;
pub use self::submission::{Submission, Verdict};
pub use self::writer::Foundation;
