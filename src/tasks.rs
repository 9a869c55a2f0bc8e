//! Long-running work, tracked in one place and stopped in one way.
