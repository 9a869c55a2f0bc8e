//! The rooms in memory, in shards: those that are there, and those that are being loaded.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::cell::RoomCell;
use crate::commands::execute::load::LoadedRoom;
use crate::ids::RoomKey;
use crate::live::pattern::Pattern;
use crate::live::published::PublishedEvent;

const SHARDS: usize = 16;

enum RoomSlot {
    /// Which load it is, and the events that came since it began.
    Loading(u64, Vec<Arc<PublishedEvent>>),
    /// With the bytes that it counts for.
    Ready(Arc<RoomCell>, usize),
}

/// How much is in memory.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Size {
    pub entries: u64,
    pub bytes: u64,
    pub limit: u64,
}

type RoomShard = LruCache<RoomKey, RoomSlot>;

pub struct RoomTable {
    shards: Vec<Mutex<RoomShard>>,
    hasher: RandomState,
    loads: AtomicU64,
    /// Of all cells.
    bytes: AtomicUsize,
    bound: usize,
}

impl RoomTable {
    /// `bound`: bytes that the rooms may take.
    pub fn new(bound: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(RoomShard::unbounded())).collect();
        Self { shards, hasher: RandomState::new(), loads: AtomicU64::new(0), bytes: AtomicUsize::new(0), bound }
    }

    fn shard(&self, key: &RoomKey) -> MutexGuard<'_, RoomShard> {
        let hash = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default();
        self.shards[hash].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room, if it is in memory; it was used now.
    pub fn get(&self, key: &RoomKey) -> Option<Arc<RoomCell>> {
        match self.shard(key).get(key)? {
            RoomSlot::Ready(cell, _) => Some(cell.clone()),
            RoomSlot::Loading(..) => None,
        }
    }

    pub fn has(&self, key: &RoomKey) -> bool {
        matches!(self.shard(key).peek(key), Some(RoomSlot::Ready(..)))
    }

    /// A room is to be loaded: from now on its events are gathered.
    pub fn begin(&self, key: &RoomKey) -> u64 {
        let load = self.loads.fetch_add(1, Ordering::Relaxed);
        let mut shard = self.shard(key);
        if !matches!(shard.peek(key), Some(RoomSlot::Ready(..))) {
            shard.put(key.clone(), RoomSlot::Loading(load, Vec::new()));
        }
        load
    }

    pub fn give_up(&self, key: &RoomKey, load: u64) {
        let mut shard = self.shard(key);
        if matches!(shard.peek(key), Some(RoomSlot::Loading(number, _)) if *number == load) {
            shard.pop(key);
        }
    }

    /// A room was loaded. Returns whether it is kept: not if it was let go of while it was loaded. Then it may lack the events
    /// since.
    pub fn finish(&self, key: RoomKey, load: u64, room: LoadedRoom) -> (Arc<RoomCell>, bool) {
        let cell = Arc::new(RoomCell::new(room));
        let mut shard = self.shard(&key);
        let Some(RoomSlot::Loading(number, events)) = shard.peek(&key) else { return (cell, false) };
        if *number != load {
            return (cell, false);
        }
        let whole = events.iter().all(|event| cell.apply(event).is_ok());
        if whole {
            shard.put(key.clone(), RoomSlot::Ready(cell.clone(), 0));
            self.count(&mut shard, &key);
        } else {
            shard.pop(&key);
        }
        (cell, whole)
    }

    /// Lets go of rooms that were longest not read, of this shard.
    fn trim(&self, shard: &mut RoomShard, used: &RoomKey) {
        for _ in 0..shard.len() {
            if self.bytes.load(Ordering::Relaxed) <= self.bound {
                return;
            }
            let Some((key, slot)) = shard.pop_lru() else { return };
            match slot {
                RoomSlot::Ready(_, counted) if key != *used => _ = self.bytes.fetch_sub(counted, Ordering::Relaxed),
                slot => _ = shard.put(key, slot),
            }
        }
    }

    /// An event of the log, each once and in order. Returns the room if the nodes should get a new snapshot of it.
    pub fn apply(&self, event: &Arc<PublishedEvent>) -> Option<(RoomKey, Arc<RoomCell>)> {
        let key = RoomKey { tenant: event.envelope.tenant.clone(), room: event.envelope.room };
        let cell = match self.shard(&key).peek_mut(&key)? {
            RoomSlot::Loading(_, events) => {
                events.push(event.clone());
                return None;
            }
            RoomSlot::Ready(cell, _) => cell.clone(),
        };
        // Without the shard's lock: whoever reads this room holds up no other.
        let applied = cell.apply(event);
        let mut shard = self.shard(&key);
        let Some(RoomSlot::Ready(there, counted)) = shard.peek(&key) else { return None };
        if !Arc::ptr_eq(there, &cell) {
            return None;
        }
        match applied {
            Ok(due) => {
                self.count(&mut shard, &key);
                drop(shard);
                due.then_some((key, cell))
            }
            Err(error) => {
                tracing::debug!(%error, tenant = %key.tenant, room = %key.room, "a room's state leaves memory");
                self.bytes.fetch_sub(*counted, Ordering::Relaxed);
                shard.pop(&key);
                None
            }
        }
    }

    /// A room takes more or less than it did.
    pub fn recount(&self, key: &RoomKey) {
        self.count(&mut self.shard(key), key);
    }

    /// Counts a room for what it takes now, and keeps the bound. What is taken back later is what was counted, whatever the
    /// room takes by then.
    fn count(&self, shard: &mut RoomShard, key: &RoomKey) {
        if let Some(RoomSlot::Ready(cell, counted)) = shard.peek_mut(key) {
            let bytes = cell.bytes();
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.bytes.fetch_sub(std::mem::replace(counted, bytes), Ordering::Relaxed);
            self.trim(shard, key);
        }
    }

    pub fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= self.bound
    }

    /// Lets go of rooms that a pattern names; returns how many.
    pub fn forget(&self, pattern: &Pattern) -> u64 {
        let mut count = 0;
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let named: Vec<RoomKey> =
                shard.iter().map(|(key, _)| key).filter(|key| pattern.takes(key)).cloned().collect();
            for key in named {
                if let Some(RoomSlot::Ready(_, counted)) = shard.pop(&key) {
                    self.bytes.fetch_sub(counted, Ordering::Relaxed);
                    count += 1;
                }
            }
        }
        count
    }

    /// What is in memory, and since when on average, in seconds.
    pub fn size(&self) -> (Size, f64) {
        let (mut rooms, mut age) = (0u64, 0.0);
        for shard in &self.shards {
            for (_, slot) in &*shard.lock().unwrap_or_else(PoisonError::into_inner) {
                if let RoomSlot::Ready(cell, _) = slot {
                    rooms += 1;
                    age += cell.loaded.elapsed().as_secs_f64();
                }
            }
        }
        let bytes = self.bytes.load(Ordering::Relaxed) as u64;
        let size = Size { entries: rooms, bytes, limit: self.bound as u64 };
        (size, if rooms == 0 { 0.0 } else { age / rooms as f64 })
    }

    pub fn clear(&self) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        self.bytes.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use uuid::Uuid;

    use super::*;
    use crate::events::envelope::Envelope;
    use crate::events::room::{RoomCreated, RoomEvent, RoomLocked, RoomUnlocked, Settings};
    use crate::events::time::Timestamp;
    use crate::ids::{Actor, CommandId, RoomId, RoomVersion, TenantId};

    const BOUND: usize = 1 << 20;

    fn key(number: u128) -> RoomKey {
        RoomKey { tenant: TenantId::new("acme").unwrap(), room: RoomId::from_uuid(Uuid::from_u128(number)) }
    }

    /// The room is created, then locked and unlocked in turn.
    fn event(key: &RoomKey, version: RoomVersion) -> Arc<PublishedEvent> {
        let event = match version {
            1 => RoomEvent::from(RoomCreated { name: None, opens_at: None, settings: Settings::default() }),
            even if even.is_multiple_of(2) => RoomEvent::from(RoomLocked {}),
            _ => RoomEvent::from(RoomUnlocked {}),
        };
        PublishedEvent::new(Arc::new(Envelope {
            position: version,
            tenant: key.tenant.clone(),
            room: key.room,
            room_version: version,
            event_type: event.name().into(),
            type_version: event.version(),
            recorded_at: Timestamp::EPOCH,
            occurred_at: None,
            actor: Actor::Key("test".into()),
            session: None,
            command_id: CommandId::from_uuid(Uuid::from_u128(7)),
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            data: Arc::from(RawValue::from_string(event.to_json().unwrap()).unwrap()),
            sealed: None,
            hash: [0; 32],
        }))
    }

    fn loaded(key: &RoomKey, version: RoomVersion) -> LoadedRoom {
        let mut room = LoadedRoom::default();
        (1..=version).for_each(|version| drop(room.follow(&event(key, version).envelope).unwrap()));
        room
    }

    fn version(table: &RoomTable, key: &RoomKey) -> Option<RoomVersion> {
        table.get(key).map(|cell| cell.read(|now| now.room.version))
    }

    #[test]
    fn what_happens_while_a_room_is_loaded_is_in_its_state() {
        let (table, key) = (RoomTable::new(BOUND), key(1));
        let load = table.begin(&key);
        (2..=5).for_each(|version| drop(table.apply(&event(&key, version))));
        assert_eq!(version(&table, &key), None, "it is not there before it is loaded");
        let (cell, kept) = table.finish(key.clone(), load, loaded(&key, 3));
        assert!(kept);
        assert_eq!(cell.read(|now| now.room.version), 5);
        table.apply(&event(&key, 6));
        assert_eq!(version(&table, &key), Some(6));
    }

    #[test]
    fn a_gap_drops_the_state() {
        let (table, key) = (RoomTable::new(BOUND), key(1));
        let load = table.begin(&key);
        table.finish(key.clone(), load, loaded(&key, 3));
        table.apply(&event(&key, 3));
        assert_eq!(version(&table, &key), Some(3), "what is in the state changes nothing");
        table.apply(&event(&key, 5));
        assert_eq!(version(&table, &key), None);
        let load = table.begin(&key);
        table.apply(&event(&key, 7));
        assert!(!table.finish(key.clone(), load, loaded(&key, 5)).1);
        assert_eq!(version(&table, &key), None, "nor is one kept that was loaded into a gap");
        assert_eq!(table.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_loaded_before_everything_was_thrown_away_is_not_kept() {
        let (table, key) = (RoomTable::new(BOUND), key(1));
        let load = table.begin(&key);
        table.clear();
        assert!(!table.finish(key.clone(), load, loaded(&key, 1)).1, "it may lack what happened since");
        assert_eq!(version(&table, &key), None);
        let load = table.begin(&key);
        table.give_up(&key, load);
        table.apply(&event(&key, 1));
        assert_eq!(version(&table, &key), None);
    }

    #[test]
    fn a_room_that_grew_between_its_events_is_taken_back_as_it_was_counted() {
        let (table, key) = (RoomTable::new(BOUND), key(1));
        for recounted in [false, true] {
            let load = table.begin(&key);
            let (cell, _) = table.finish(key.clone(), load, loaded(&key, 3));
            cell.gather_events();
            cell.begin_events((1..=3).map(|version| (*event(&key, version).envelope).clone()).collect());
            if recounted {
                table.recount(&key);
                assert_eq!(table.bytes.load(Ordering::Relaxed), cell.bytes());
            }
            // A gap.
            table.apply(&event(&key, 9));
            assert_eq!(version(&table, &key), None);
            assert_eq!(table.bytes.load(Ordering::Relaxed), 0, "recounted: {recounted}");
        }
    }

    #[test]
    fn rooms_are_bounded_in_bytes_and_those_longest_not_read_leave() {
        let table = RoomTable::new(BOUND);
        for number in 0..5_000 {
            let key = key(number);
            let load = table.begin(&key);
            table.finish(key.clone(), load, loaded(&key, 2));
            table.apply(&event(&key, 3));
            assert!(table.get(&super::tests::key(0)).is_some(), "what is read all the time stays, {number}");
        }
        let there: Vec<u128> = (0..5_000).filter(|number| table.has(&key(*number))).collect();
        assert!(there.len() > 100 && there.len() < 2_000, "{}", there.len());
        assert!(there.contains(&4_999));
        let sum: usize = there.iter().map(|number| table.get(&key(*number)).unwrap().bytes()).sum();
        assert_eq!(table.bytes.load(Ordering::Relaxed), sum);
        assert!(sum <= BOUND);
    }
}
