//! The hash chain and the recorded times of a batch, computed before the append as far as the batch determines them.

use super::super::chain::{self, ChainLink};
use super::batch::{AppendBatch, EventData, RoomAppend};
use crate::events::envelope::Hash;
use crate::events::time::Timestamp;
use crate::ids::RoomVersion;

/// The hashes of a batch.
pub struct BatchChains {
    /// Of each event, in the order in which the events are to lie in the log.
    pub(super) events: Vec<ChainedEvent>,
    /// In the order of the batch's rooms.
    pub(super) rooms: Vec<RoomAfterBatch>,
    last_recorded: Option<Timestamp>,
}

/// An event's place and what it gives.
pub(super) struct ChainedEvent {
    /// Index of its room.
    pub room: usize,
    /// Index among the room's events.
    pub index: usize,
    pub version: RoomVersion,
    pub chain: Hash,
    /// Where that comes with the batch.
    pub recorded_at: Option<Timestamp>,
}

/// What is known of a room after the batch.
pub(super) struct RoomAfterBatch {
    pub chain: Hash,
    /// Of its last event, where that comes with the batch.
    pub recorded_at: Option<Timestamp>,
    /// Numbers (from 1) of its events in the batch.
    pub events: Vec<i32>,
}

impl BatchChains {
    pub fn of(batch: &AppendBatch) -> Self {
        let before = |room: &RoomAppend| RoomAfterBatch {
            chain: room.chain,
            recorded_at: None,
            events: Vec::with_capacity(room.events.len()),
        };
        let mut chains = Self {
            events: Vec::with_capacity(batch.rooms.iter().map(|room| room.events.len()).sum()),
            rooms: batch.rooms.iter().map(before).collect(),
            last_recorded: batch.recorded_as_occurred,
        };
        match &batch.order {
            Some(order) => order.iter().for_each(|room| chains.add(batch, *room)),
            None => {
                for (number, room) in batch.rooms.iter().enumerate() {
                    room.events.iter().for_each(|_| chains.add(batch, number));
                }
            }
        }
        chains
    }

    /// The next event of a room.
    fn add(&mut self, batch: &AppendBatch, number: usize) {
        let (room, after) = (&batch.rooms[number], &mut self.rooms[number]);
        let index = after.events.len();
        let event = &room.events[index];
        let version = room.expected + 1 + index as u64;
        let happened_at = event.occurred_at.unwrap_or(batch.now);
        after.chain = link(&after.chain, room, version, event, happened_at);
        self.last_recorded = self.last_recorded.map(|last| last.max(happened_at));
        after.recorded_at = self.last_recorded;
        self.events.push(ChainedEvent {
            room: number,
            index,
            version,
            chain: after.chain,
            recorded_at: self.last_recorded,
        });
        after.events.push(i32::try_from(self.events.len()).unwrap_or(i32::MAX));
    }

    /// Of a room, after the batch.
    pub fn of_room(&self, index: usize) -> Hash {
        self.rooms[index].chain
    }

    /// When the last event is recorded, where that comes with the batch.
    pub fn last_recorded(&self) -> Option<Timestamp> {
        self.last_recorded
    }
}

fn link(before: &Hash, room: &RoomAppend, version: RoomVersion, event: &EventData, happened_at: Timestamp) -> Hash {
    chain::link(
        before,
        &ChainLink {
            key: &room.key,
            room_version: version,
            event_type: event.event_type,
            type_version: event.type_version,
            happened_at,
            actor: &event.actor,
            session: event.session,
            command_id: event.command_id,
            causation_id: event.causation_id,
            correlation_id: event.correlation_id,
            traceparent: event.traceparent.as_deref(),
            data: event.data.get(),
            sealed: event.sealed.as_ref().map(|sealed| &*sealed.0),
        },
    )
}
