//! What a request says, read and checked before a handler sees it.

pub mod etags;
pub mod idempotency;
pub mod json;
pub mod trace;
