//! Authentication, authorization data, and encryption of personal fields.
//!
//! [`tokens`] authenticates callers by the keys of [`signing_keys`]; [`sealing`] encrypts personal fields under keys that can be
//! destroyed; [`watch`] learns of key changes by other processes.

pub mod caller;
pub mod grants;
pub mod random;
pub mod sealing;
pub mod signing_keys;
pub mod tokens;
pub mod watch;
