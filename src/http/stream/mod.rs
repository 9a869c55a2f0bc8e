//! Events as they flow to a reader: [`follow`] brings them, [`show`] makes of each what this reader sees, [`live`] and [`lines`]
//! write them.

pub mod follow;
pub mod lines;
pub mod live;
pub mod show;
pub mod sse;
mod texts;
