//! Who calls, what they may do, and what of a person is kept encrypted.
//!
//! [`sealing`] keeps personal fields under keys that can be destroyed. May use `config` and `events`.

pub mod grants;
pub mod random;
pub mod sealing;
