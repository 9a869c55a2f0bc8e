//! The follower's knowledge, shared with readers. A hit reads it without a lock; judging and inserting an entry takes the lock.
//!
//! The follower marks entries and then advances its position, both under the lock; inserts use the same lock. So a reader that
//! loads first the position and then the entry sees an entry that every event up to the position has marked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::entry::{Key, Lineage, Loaded, Part};
use super::known::{Judgement, Known};
use super::memory::{Entry, Memory};
use crate::events::log::changes::Change;
use crate::ids::{Position, RoomKey};

/// A follower that has not heard from the log for so long has lost it: nothing is answered out of a cache.
pub const LOST: Duration = Duration::from_secs(3);

/// Which era it is, and how far the log is known in it.
#[derive(Clone, Copy, Debug)]
pub struct Glance {
    pub era: u64,
    pub through: Position,
}

pub struct Knowledge {
    known: Mutex<Option<Known>>,
    /// Counts how often the follower began anew.
    era: AtomicU64,
    through: watch::Sender<Position>,
    through_now: AtomicU64,
    born: Instant,
    /// When the log was known to its end, in milliseconds since `born`; 0: never.
    heard: AtomicU64,
    /// The latest checkpoint of the model that an answer was read at.
    model: AtomicU64,
}

impl Default for Knowledge {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            era: AtomicU64::new(0),
            through: watch::channel(0).0,
            through_now: AtomicU64::new(0),
            born: Instant::now(),
            heard: AtomicU64::new(0),
            model: AtomicU64::new(0),
        }
    }
}

impl Knowledge {
    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None`: the follower has lost the log, or has not begun.
    pub fn glance(&self) -> Option<Glance> {
        let heard = self.heard.load(Ordering::Acquire);
        let age = self.born.elapsed().saturating_sub(Duration::from_millis(heard));
        (heard > 0 && age < LOST).then(|| Glance {
            era: self.era.load(Ordering::Acquire),
            through: self.through_now.load(Ordering::Acquire),
        })
    }

    /// The follower has a new beginning: nothing that was kept before counts.
    pub fn begin(&self, known: Known, memory: &Memory) {
        let mut held = self.lock();
        self.heard.store(0, Ordering::Release);
        self.era.fetch_add(1, Ordering::AcqRel);
        memory.clear();
        self.model.store(0, Ordering::Release);
        self.move_to(known.through());
        *held = Some(known);
    }

    /// The next events of the log.
    pub fn follow(&self, changes: &[Change], memory: &Memory) {
        let mut held = self.lock();
        let Some(known) = held.as_mut() else { return };
        for change in changes {
            known.follow(change);
            for part in Part::ALL {
                memory.mark(&Key { room: change.key.clone(), part }, change.position);
            }
        }
        self.move_to(known.through());
    }

    fn move_to(&self, position: Position) {
        self.through_now.store(position, Ordering::Release);
        self.through.send_replace(position);
    }

    /// At `at` the log was known to its end.
    pub fn heard(&self, at: Instant) {
        let millis = u64::try_from(at.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX);
        self.heard.store(millis.max(1), Ordering::Release);
    }

    pub fn lose(&self) {
        self.heard.store(0, Ordering::Release);
    }

    /// Judges what was loaded, and puts it into memory where it may be kept; `None`: it cannot be judged.
    pub fn keep(&self, key: &Key, loaded: &Loaded, memory: &Memory) -> Option<Arc<Entry>> {
        self.glance()?;
        let held = self.lock();
        let era = self.era.load(Ordering::Acquire);
        let changed = match held.as_ref()?.judge(&key.room, loaded.lineage, loaded.position) {
            Judgement::True => None,
            Judgement::Outdated(from) => Some(from),
            Judgement::Unknown => return None,
        };
        self.model.fetch_max(loaded.position, Ordering::AcqRel);
        let entry = Entry::new(loaded.clone(), era, changed);
        // Ahead of what is there: two loads may end in another order than they began.
        if memory.get(key).is_none_or(|there| there.era != era || there.loaded.position <= loaded.position) {
            memory.put(key.clone(), entry.clone());
        }
        Some(entry)
    }

    /// After this the room has not changed; `None`: the log is not known.
    pub fn unchanged_since(&self, room: &RoomKey) -> Option<Position> {
        self.glance()?;
        self.lock().as_ref().map(|known| known.unchanged_since(room))
    }

    /// The database answered out of the model as it is at a position, of this history: whoever comes later gets nothing older.
    pub fn answered(&self, lineage: Option<Lineage>, position: Position) {
        if self.lock().as_ref().is_some_and(|known| known.is_of_epoch_of(lineage)) {
            self.model.fetch_max(position, Ordering::AcqRel);
        }
    }

    /// Where the model is known to have been: nobody who comes later gets what it said before that.
    pub fn model(&self) -> Position {
        self.model.load(Ordering::Acquire)
    }

    /// Waits until the log is known up to a position, for so long at most.
    pub async fn reach(&self, position: Position, patience: Duration) {
        let mut through = self.through.subscribe();
        // Whether it came so far is what the next glance tells.
        _ = tokio::time::timeout(patience, through.wait_for(|through| *through >= position)).await;
    }

    /// The rooms that changed last, the latest first.
    pub fn latest(&self, most: usize) -> Vec<RoomKey> {
        self.lock().as_ref().map(|known| known.latest(most)).unwrap_or_default()
    }

    /// From where and up to where the log is remembered, and for how many rooms.
    pub fn span(&self) -> (Position, Position, usize) {
        self.lock().as_ref().map_or((0, 0, 0), |known| (known.since(), known.through(), known.rooms()))
    }
}
