//! Who calls, what they may do, and what of a person is kept encrypted.
//!
//! [`tokens`] says who calls, by the keys of [`signing_keys`]; [`sealing`] keeps personal fields under keys that can be
//! destroyed; [`watch`] hears what other processes did to keys. May use `config` and `events`.

pub mod caller;
pub mod grants;
pub mod random;
pub mod sealing;
pub mod signing_keys;
pub mod tokens;
pub mod watch;
