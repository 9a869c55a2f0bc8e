//! Executes commands: from a request to a durable response, in one direction.
//!
//! ```text
//! Executor::enqueue ─► Queue collects a batch ─► Plan decides it ─► Writer appends it ─► resolve responds ─► Receipt
//! ```
//!
//! `executor` puts a `request` into the queue and returns a receipt; `queue` collects waiting commands into a batch and
//! loads the rooms; [`writer`] has `plan` decide the batch in memory, room after room, and appends it in one transaction;
//! `resolve` answers each `pending_commands` or defers it. Each file uses only those behind it; a test enforces that.
//!
//! Each process has one [`writer::BatchWriter`], which owns the states of recently written rooms. It decides waiting
//! commands one after another and commits them together, including several for one room. So a room accepts as many
//! commands as the log accepts events, not one per commit. Any number of processes can do this on one log: another
//! process's events show as a version conflict; the room is then loaded again and the command decided again, up to a
//! limit.
//!
//! Invariants: the response to a command is sent when its events are durable, or when its refusal holds for the room's state in
//! the log; the same idempotency key gives the same response, byte for byte; a refusal changes nothing.

mod encode;
mod error;
mod executor;
pub mod import_batches;
mod keys;
mod limits;
pub mod load;
pub mod lookup;
mod pending_commands;
mod pending_erasures;
mod plan;
mod planned;
mod queue;
mod recent;
mod request;
mod resolve;
mod response;
mod rooms;
pub mod writer;

pub use self::error::{AtomicError, ExecuteError};
pub use self::executor::{Executor, GroupReceipt, Receipt};
pub use self::limits::ExecutorLimits;
pub use self::pending_commands::{ExecutionResult, PendingCommands};
pub use self::request::{CommandRequest, Idempotency};
pub use self::resolve::ResolvedBatch;
pub use self::response::CommandOutcome;
pub use self::writer::ExecutorServices;
