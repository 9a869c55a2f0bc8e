//! Who calls, what they may do, and what of a person is kept encrypted.

pub mod grants;
