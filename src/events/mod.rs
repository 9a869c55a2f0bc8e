//! Events and their log: what happened, in one order, for good.
//!
//! [`room`] says what can happen, [`envelope`] what is kept around it, [`log`] how it is appended, read and followed.
//! May use `config` only: everything else stands on this module.

pub mod archive;
pub mod envelope;
pub mod feed;
pub mod heap;
pub mod log;
pub mod relay;
pub mod room;
pub mod schemas;
pub mod sealed;
pub mod tenant;
pub mod time;
pub mod topic;
