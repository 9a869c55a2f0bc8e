//! Events as they flow to a reader over HTTP, in two forms: [`live`] writes server-sent events, [`lines`] NDJSON.

pub mod lines;
pub mod live;
pub mod sse;
