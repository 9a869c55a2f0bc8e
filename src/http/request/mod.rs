//! What a request says, read and checked before a handler sees it.

pub mod accept;
pub mod caller;
pub mod etags;
pub mod head;
pub mod headers;
pub mod idempotency;
pub mod paging;
pub mod path;
pub mod prefer;
pub mod query;
pub mod trace;
