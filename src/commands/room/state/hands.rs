//! Raised hands, in the order in which they were raised.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::StateSize;
use crate::ids::{Identity, RoomVersion};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RaisedHands {
    order: BTreeMap<RoomVersion, Identity>,
    raised: BTreeMap<Identity, RoomVersion>,
}

impl RaisedHands {
    pub fn is_raised(&self, identity: &Identity) -> bool {
        self.raised.contains_key(identity)
    }

    /// The earliest first.
    pub fn in_order(&self) -> impl ExactSizeIterator<Item = &Identity> {
        self.order.values()
    }

    pub(super) fn add_size(&self, size: &mut StateSize) {
        size.tree::<(RoomVersion, Identity)>(self.order.len());
        size.tree::<(Identity, RoomVersion)>(self.raised.len());
        self.order.values().chain(self.raised.keys()).for_each(|identity| size.text(identity.as_str().len()));
    }

    /// One that is up keeps its place.
    pub(super) fn raise(&mut self, version: RoomVersion, identity: &Identity) {
        if !self.is_raised(identity) {
            self.raised.insert(identity.clone(), version);
            self.order.insert(version, identity.clone());
        }
    }

    pub(super) fn lower(&mut self, identity: &Identity) {
        if let Some(version) = self.raised.remove(identity) {
            self.order.remove(&version);
        }
    }
}
