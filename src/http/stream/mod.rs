//! Events as they flow to a reader.

pub mod sse;
