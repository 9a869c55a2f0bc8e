//! The first layer: entries in the memory of this process, bounded in bytes.
//!
//! An unmarked entry is true up to the follower's position: the follower marks entries before it advances, and inserts happen
//! under the follower's lock ([`super::knowledge`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use super::entry::{Key, Loaded, Value};
use super::pattern::Pattern;
use crate::ids::Position;
use crate::resilience;

/// How long it is remembered that a room is not there.
const ABSENT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Entry {
    pub loaded: Loaded,
    /// Since when this process has it.
    pub kept: Instant,
    /// In which era of the follower it was judged.
    pub era: u64,
    /// At or before which position its room has changed since; 0: it has not.
    changed: AtomicU64,
}

impl Entry {
    pub fn new(loaded: Loaded, era: u64, changed: Option<Position>) -> Arc<Self> {
        let changed = AtomicU64::new(changed.unwrap_or_default());
        Arc::new(Self { loaded, kept: Instant::now(), era, changed })
    }

    pub fn changed(&self) -> Option<Position> {
        Some(self.changed.load(Ordering::Acquire)).filter(|changed| *changed > 0)
    }
}

struct Lives(Duration);

impl Expiry<Key, Arc<Entry>> for Lives {
    fn expire_after_create(&self, _: &Key, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        let life = match entry.loaded.value {
            Value::View(None) => self.0.min(ABSENT),
            Value::View(Some(_)) | Value::People(_) => self.0,
        };
        Some(resilience::shortened(life))
    }

    fn expire_after_update(&self, key: &Key, entry: &Arc<Entry>, at: Instant, _: Option<Duration>) -> Option<Duration> {
        self.expire_after_create(key, entry, at)
    }
}

pub struct Memory {
    entries: Cache<Key, Arc<Entry>>,
    limit: usize,
}

impl Memory {
    /// `limit`: bytes.
    pub fn new(limit: usize, life: Duration) -> Self {
        let weight = |_: &Key, entry: &Arc<Entry>| u32::try_from(entry.loaded.value.weight()).unwrap_or(u32::MAX);
        let entries = Cache::builder().max_capacity(limit as u64).weigher(weight).expire_after(Lives(life));
        Self { entries: entries.build(), limit }
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Entry>> {
        self.entries.get(key)
    }

    /// Under the follower's lock.
    pub fn put(&self, key: Key, entry: Arc<Entry>) {
        self.entries.insert(key, entry);
    }

    /// Its room has changed. By the follower, before its position moves.
    pub fn mark(&self, key: &Key, position: Position) {
        if let Some(entry) = self.entries.get(key)
            && entry.loaded.position < position
        {
            // The first change is what the entry was true before.
            _ = entry.changed.compare_exchange(0, position, Ordering::Release, Ordering::Relaxed);
        }
    }

    pub fn clear(&self) {
        self.entries.invalidate_all();
    }

    pub fn forget(&self, pattern: &Pattern) -> u64 {
        let found: Vec<Arc<Key>> = self.entries.iter().map(|(key, _)| key).filter(|key| pattern.takes(key)).collect();
        found.iter().for_each(|key| self.entries.invalidate(&**key));
        found.len() as u64
    }

    pub fn size(&self) -> Size {
        self.entries.run_pending_tasks();
        Size { entries: self.entries.entry_count(), bytes: self.entries.weighted_size(), limit: self.limit as u64 }
    }

    /// Since when its entries are here, on average, in seconds; nought where there are none.
    pub fn mean_age(&self) -> f64 {
        let (count, sum) = self
            .entries
            .iter()
            .fold((0u64, 0.0), |(count, sum), (_, entry)| (count + 1, sum + entry.kept.elapsed().as_secs_f64()));
        if count == 0 { 0.0 } else { sum / count as f64 }
    }
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Size {
    pub entries: u64,
    pub bytes: u64,
    pub limit: u64,
}
