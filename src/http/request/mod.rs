//! What a request says, read and checked before a handler sees it.

pub mod caller;
pub mod etags;
pub mod headers;
pub mod idempotency;
pub mod path;
pub mod query;
pub mod trace;
