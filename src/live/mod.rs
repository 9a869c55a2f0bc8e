//! What live readers stand on: the rooms in use on this node as the log has them, who may see what of them, and events as
//! readers get them. Above commands and projections, below everything that speaks a protocol.

pub mod rooms;
