//! The states of recently written rooms, bounded in bytes.
//!
//! A state with waiting commands stays in memory; otherwise the rooms of a group could evict each other for ever. So the writer
//! enforces the limit between batches ([`WriterRooms::trim`]), when it knows the waiting commands, and every state
//! stays until then.

use std::collections::HashSet;

use lru::LruCache;

use super::load::LoadedRoom;
use crate::ids::RoomKey;

/// What an entry takes beside the state: its key, and its place in the order of use.
const ENTRY: usize = 256;

/// Letting go ends below the bound by this part of it, so that it is not done for every batch.
const SLACK: usize = 8;

pub struct WriterRooms {
    held: LruCache<RoomKey, HeldRoom>,
    /// Of all states.
    bytes: usize,
    bound: usize,
}

struct HeldRoom {
    room: LoadedRoom,
    bytes: usize,
}

impl WriterRooms {
    /// `bound`: bytes that the states may take.
    pub(super) fn new(bound: usize) -> Self {
        Self { held: LruCache::unbounded(), bytes: 0, bound }
    }

    pub fn contains(&self, key: &RoomKey) -> bool {
        self.held.contains(key)
    }

    pub(super) fn take(&mut self, key: &RoomKey) -> Option<LoadedRoom> {
        let held = self.held.pop(key)?;
        self.bytes -= held.bytes;
        Some(held.room)
    }

    pub fn put(&mut self, key: RoomKey, room: LoadedRoom) {
        let bytes = ENTRY + room.memory();
        self.bytes += bytes;
        if let Some(before) = self.held.put(key, HeldRoom { room, bytes }) {
            self.bytes -= before.bytes;
        }
    }

    /// For changes that take no more memory.
    pub(super) fn get_mut(&mut self, key: &RoomKey) -> Option<&mut LoadedRoom> {
        self.held.peek_mut(key).map(|held| &mut held.room)
    }

    pub fn is_over(&self) -> bool {
        self.bytes > self.bound
    }

    /// Lets go of the states that were longest not used, where there is more than there should be; of none that is needed.
    pub fn trim(&mut self, needed: &HashSet<RoomKey>) {
        if !self.is_over() {
            return;
        }
        let mut kept = Vec::new();
        while self.bytes > self.bound - self.bound / SLACK
            && let Some((key, held)) = self.held.pop_lru()
        {
            if needed.contains(&key) {
                kept.push((key, held));
            } else {
                self.bytes -= held.bytes;
            }
        }
        for (key, held) in kept {
            self.held.put(key, held);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::commands::room::state::Room;
    use crate::events::room::{RoomCreated, RoomEvent, Settings};
    use crate::events::time::Timestamp;
    use crate::ids::{RoomId, TenantId};

    const BOUND: usize = 1 << 20;

    fn key(number: u128) -> RoomKey {
        RoomKey { tenant: TenantId::new("acme").unwrap(), room: RoomId::from_uuid(Uuid::from_u128(number)) }
    }

    fn room(metadata: usize) -> LoadedRoom {
        let metadata_text = serde_json::Value::from("x".repeat(metadata));
        let settings = Settings { metadata: serde_json::from_value(metadata_text).unwrap(), ..Settings::default() };
        let created = RoomEvent::from(RoomCreated { name: None, opens_at: None, settings });
        let mut room = LoadedRoom::default();
        room.evolve(Timestamp::EPOCH, &created, None, metadata);
        assert!(matches!(room.state, Room::Open(_)));
        room
    }

    fn held(rooms: &WriterRooms) -> usize {
        (0..10_000).filter(|number| rooms.contains(&key(*number))).count()
    }

    #[test]
    fn few_big_states_are_kept_and_many_small_ones() {
        for (metadata, least, most) in [(60_000, 12, 18), (100, 300, 900)] {
            let mut rooms = WriterRooms::new(BOUND);
            for number in 0..2_000 {
                rooms.put(key(number), room(metadata));
                rooms.trim(&HashSet::new());
            }
            assert!(rooms.bytes <= BOUND && !rooms.is_over());
            assert!((least..=most).contains(&held(&rooms)), "{} of {metadata} bytes", held(&rooms));
            assert!(rooms.contains(&key(1_999)) && !rooms.contains(&key(0)), "those used last stay");
        }
    }

    #[test]
    fn what_is_needed_stays_whatever_it_takes() {
        let mut rooms = WriterRooms::new(BOUND);
        let needed: HashSet<RoomKey> = (0..40).map(key).collect();
        (0..100).for_each(|number| rooms.put(key(number), room(60_000)));
        rooms.trim(&needed);
        assert_eq!(held(&rooms), 40);
        assert!(needed.iter().all(|key| rooms.contains(key)) && rooms.is_over());
        rooms.trim(&HashSet::new());
        assert!(!rooms.is_over());
    }

    #[test]
    fn what_is_taken_or_put_again_is_counted_once() {
        let mut rooms = WriterRooms::new(BOUND);
        for _ in 0..3 {
            rooms.put(key(1), room(1_000));
        }
        assert_eq!(rooms.bytes, ENTRY + room(1_000).memory());
        rooms.take(&key(1)).unwrap();
        assert_eq!((rooms.bytes, rooms.take(&key(1)).is_none()), (0, true));
    }
}
