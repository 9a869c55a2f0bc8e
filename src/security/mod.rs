//! Who calls, what they may do, and what of a person is kept encrypted.
//!
//! [`tokens`] says who calls, by the keys of [`signing_keys`]; [`sealing`] keeps personal fields under keys that can be
//! destroyed. May use `config`, `events`, and of `commands` the caller that rules are given.

pub mod grants;
pub mod random;
pub mod sealing;
pub mod signing_keys;
pub mod tokens;
