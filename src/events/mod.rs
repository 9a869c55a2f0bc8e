//! Events and their log: what happened, in one order, for good.
//!
//! [`room`] says what can happen, [`envelope`] what is kept around it, [`log`] how it is appended, read and followed.
//! It stands on the database and on the names of things ([`crate::ids`]), and knows neither commands nor read models.

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
