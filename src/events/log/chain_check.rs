//! Checks events in their order, each against its predecessors.

use std::collections::HashMap;

use super::RoomHead;
use super::chain;
use crate::events::envelope::{Envelope, Hash};
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomKey, RoomVersion};

/// The first thing found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFault {
    pub position: Position,
    pub room: Option<RoomKey>,
    pub what: String,
}

/// The chain of a room so far.
#[derive(Clone, Copy, Debug)]
pub struct RoomChain {
    pub version: RoomVersion,
    pub position: Position,
    pub chain: Hash,
}

/// Checks events in order, each against what came before.
#[derive(Default)]
pub struct ChainCheck {
    pub(super) position: Position,
    recorded_at: Option<Timestamp>,
    pub(super) rooms: HashMap<RoomKey, RoomChain>,
    pub(super) events: u64,
}

impl ChainCheck {
    /// Whether it has met the room.
    pub fn knows(&self, key: &RoomKey) -> bool {
        self.rooms.contains_key(key)
    }

    /// The state of the chain of a room that began before the check does.
    pub fn begin_room(&mut self, key: RoomKey, reached: RoomChain) {
        self.rooms.insert(key, reached);
    }

    /// The chain of the event's room after it.
    pub fn step(&mut self, event: &Envelope) -> Result<Hash, ChainFault> {
        let key = RoomKey { tenant: event.tenant.clone(), room: event.room };
        let fault = |what: String| ChainFault { position: event.position, room: Some(key.clone()), what };
        if self.recorded_at.is_some_and(|last| event.recorded_at < last) {
            return Err(fault(format!("recorded time went back to {}", event.recorded_at)));
        }
        let start = RoomChain { version: 0, position: 0, chain: chain::START };
        let before = self.rooms.get(&key).copied().unwrap_or(start);
        if event.room_version != before.version + 1 {
            return Err(fault(format!("room version {} follows {}", event.room_version, before.version)));
        }
        let chain = chain::link_envelope(&before.chain, event);
        if chain::seal(&chain, event.position, event.recorded_at) != event.hash {
            return Err(fault("the event is not the one that was written: its hash differs".into()));
        }
        let reached = RoomChain { version: event.room_version, position: event.position, chain };
        self.rooms.insert(key, reached);
        self.recorded_at = Some(event.recorded_at);
        self.position = event.position;
        self.events += 1;
        Ok(chain)
    }

    pub(super) fn ends_at(&self, key: &RoomKey, head: &RoomHead) -> Result<(), ChainFault> {
        let reached = self.rooms.get(key).copied();
        let agrees = reached.is_some_and(|reached| {
            (reached.version, reached.position, reached.chain) == (head.version, head.last_position, head.chain)
        });
        if agrees {
            return Ok(());
        }
        let what = match reached {
            None => format!("the room stands at version {} but has no events", head.version),
            Some(reached) if reached.version != head.version => {
                format!("the room's events end at version {}, the room stands at {}", reached.version, head.version)
            }
            Some(_) => "the room's last event is not the one that its head speaks of".into(),
        };
        Err(ChainFault {
            position: reached.map_or(head.last_position, |reached| reached.position),
            room: Some(key.clone()),
            what,
        })
    }
}
