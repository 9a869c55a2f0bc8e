//! A room as it is sent.

use std::sync::Arc;

use bytes::Bytes;

use crate::events::room::view::RoomView;

/// A room's view, and the same as JSON.
#[derive(Clone, Debug)]
pub struct Shown {
    pub view: Arc<RoomView>,
    pub json: Bytes,
}

impl Shown {
    pub fn of(view: RoomView) -> serde_json::Result<Self> {
        Ok(Self { json: serde_json::to_vec(&view)?.into(), view: Arc::new(view) })
    }
}
