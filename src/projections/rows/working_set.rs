//! The rows of one table that a fold works on: loaded before a batch, changed in memory, and written after it as inserts, updates
//! and deletes, together with the change of the digest.
//!
//! Rows that later events may change stay in memory between batches, so that a batch does not load a full room again. This is
//! safe while there is no other writer: the checkpoint changes by compare-and-set, and a worker discards its working sets
//! whenever that, or anything else, fails.
//!
//! In a rebuild, a set *buffers* rows: it writes each row once, when no later event can change it, and reads none back,
//! except rows with [`RetentionPolicy::UntilEvicted`]. The rebuild stores the buffered rows
//! ([`AnyWorkingSet::buffered`]) to continue after a crash.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap, HashSet};

use super::digest::Digest;
use super::field::BadField;
use super::table::{ModelRow, ModelTable, RetentionPolicy};
use super::tuples::{RowFields, Tuples};

/// How much of a table stays in memory between batches: rows, and the bytes that they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetCapacity {
    pub rows: usize,
    pub bytes: usize,
}

impl SetCapacity {
    /// Of a model that follows the log.
    pub const LIVE: Self = Self { rows: 200_000, bytes: 64 << 20 };
    /// Of a fold in bulk, where rows that were written have to be read back one by one.
    pub const BULK: Self = Self { rows: 200_000, bytes: 256 << 20 };
}

pub struct WorkingSet<R: ModelRow> {
    slots: HashMap<R::Key, RowSlot<R>>,
    changed: Vec<R::Key>,
    missing: HashSet<R::Key>,
    /// Every unsettled row there is, is here: what is not, is not in the table either.
    complete: bool,
    /// Unsettled rows are here only, the table has none of them.
    buffering: bool,
    /// While buffering: rows loaded from the table, and keys without a row, in this batch only.
    loaded: Vec<R::Key>,
    batch: u64,
    capacity: SetCapacity,
    /// Of all slots.
    bytes: usize,
    /// Rows that nobody asks for again, written as they come.
    written_through: TableChanges,
}

/// A key that is looked for.
struct SoughtKey<'a, R: ModelRow>(R::KeyRef<'a>);

impl<R: ModelRow> Hash for SoughtKey<'_, R> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<R: ModelRow> Equivalent<R::Key> for SoughtKey<'_, R> {
    fn equivalent(&self, key: &R::Key) -> bool {
        R::same(self.0, key)
    }
}

struct RowSlot<R> {
    now: Option<R>,
    /// What the table holds, where this batch changed it.
    stored: Option<Option<R>>,
    batch: u64,
    /// Bytes that it takes with its key, as they were when its last batch ended.
    bytes: usize,
    /// The row was read from the table: it is not buffered.
    loaded: bool,
    /// It leaves memory with this batch.
    evicted: bool,
}

impl<R: ModelRow> RowSlot<R> {
    fn new(now: Option<R>, batch: u64) -> Self {
        let bytes = Self::weigh(now.as_ref());
        Self { now, stored: None, batch, bytes, loaded: false, evicted: false }
    }

    fn weigh(row: Option<&R>) -> usize {
        size_of::<R::Key>() + size_of::<Self>() + row.map_or(0, ModelRow::heap_bytes)
    }

    /// Before a change; `true`: the first one of this batch.
    fn touch(&mut self, buffering: bool) -> bool {
        let first = self.stored.is_none();
        if first {
            self.stored = Some(if buffering && !self.loaded { None } else { self.now.clone() });
        }
        first
    }
}

/// What a batch did to a table.
#[derive(Default)]
pub struct TableChanges {
    pub inserts: Tuples,
    pub updates: Tuples,
    /// Keys.
    pub deletes: Tuples,
    pub added: Digest,
    pub removed: Digest,
}

impl<R: ModelRow> Default for WorkingSet<R> {
    fn default() -> Self {
        Self {
            slots: HashMap::new(),
            changed: Vec::new(),
            missing: HashSet::new(),
            complete: false,
            buffering: false,
            loaded: Vec::new(),
            batch: 0,
            capacity: SetCapacity::LIVE,
            bytes: 0,
            written_through: TableChanges::default(),
        }
    }
}

impl<R: ModelRow> WorkingSet<R> {
    /// Says that the batch touches this row: it is loaded before the fold unless it is here.
    pub fn need(&mut self, key: R::KeyRef<'_>) {
        match self.slots.get_mut(&SoughtKey::<R>(key)) {
            Some(slot) => slot.batch = self.batch,
            None if self.complete => {}
            None => {
                self.missing.insert(R::own(key));
            }
        }
    }

    /// Says that the batch makes this row, which the table cannot hold yet: nothing has to be loaded.
    pub fn make(&mut self, key: R::KeyRef<'_>) {
        if !self.complete && !self.slots.contains_key(&SoughtKey::<R>(key)) {
            self.load_row(R::own(key), None);
        }
    }

    /// What the table holds under a key.
    fn load_row(&mut self, key: R::Key, row: Option<R>) {
        if self.buffering {
            self.loaded.push(key.clone());
        }
        let visiting = row.is_some();
        self.insert(key, RowSlot { loaded: visiting, ..RowSlot::new(row, self.batch) });
    }

    fn insert(&mut self, key: R::Key, slot: RowSlot<R>) {
        self.bytes += slot.bytes;
        if let Some(before) = self.slots.insert(key, slot) {
            self.bytes -= before.bytes;
        }
    }

    /// A row that was needed or made in this batch.
    pub fn get(&self, key: R::KeyRef<'_>) -> Option<&R> {
        self.slots.get(&SoughtKey::<R>(key)).and_then(|slot| slot.now.as_ref())
    }

    /// Whether it is settled what the table holds under this key, be it nothing: [`WorkingSet::get`] then tells.
    pub fn knows(&self, key: R::KeyRef<'_>) -> bool {
        self.complete || self.slots.contains_key(&SoughtKey::<R>(key))
    }

    /// Writes a row: one that was needed, or one that cannot have been in the table. Where rows are not kept, one that was not
    /// needed is out of reach from here on.
    pub fn put(&mut self, row: R) {
        if let Some(slot) = self.slots.get_mut(&SoughtKey::<R>(row.key_ref())) {
            if slot.touch(self.buffering) {
                self.changed.push(R::own(row.key_ref()));
            }
            slot.now = Some(row);
        } else if R::RETENTION != RetentionPolicy::ForBatch {
            let key = R::own(row.key_ref());
            self.changed.push(key.clone());
            self.insert(key, RowSlot { stored: Some(None), ..RowSlot::new(Some(row), self.batch) });
        } else {
            self.written_through.note(None, Some(&row));
        }
    }

    /// Changes a row in place, if it is there.
    pub fn change(&mut self, key: R::KeyRef<'_>, change: impl FnOnce(&mut R)) {
        let found = self.slots.get_mut(&SoughtKey::<R>(key)).filter(|slot| slot.now.is_some());
        let Some(slot) = found else { return };
        if slot.touch(self.buffering) {
            self.changed.push(R::own(key));
        }
        if let Some(row) = &mut slot.now {
            change(row);
        }
    }

    pub fn remove(&mut self, key: R::KeyRef<'_>) -> Option<R> {
        let slot = self.slots.get_mut(&SoughtKey::<R>(key)).filter(|slot| slot.now.is_some())?;
        if slot.touch(self.buffering) {
            self.changed.push(R::own(key));
        }
        slot.now.take()
    }

    /// Says that the time of this row has passed: later batches hardly ever touch it, and it leaves memory with this one.
    pub fn evict(&mut self, key: R::KeyRef<'_>) {
        let Some(slot) = self.slots.get_mut(&SoughtKey::<R>(key)) else { return };
        if slot.touch(self.buffering) {
            self.changed.push(R::own(key));
        }
        slot.evicted = true;
    }

    /// Takes it as known that the table holds this row, unless this batch has made something else of it.
    pub fn assume(&mut self, row: R) {
        if !self.slots.contains_key(&SoughtKey::<R>(row.key_ref())) {
            self.insert(R::own(row.key_ref()), RowSlot::new(Some(row), self.batch));
        }
    }

    fn is_over(&self) -> bool {
        self.slots.len() > self.capacity.rows || self.bytes > self.capacity.bytes
    }

    fn make_room(&mut self) {
        if self.is_over() && !self.buffering {
            let batch = self.batch;
            self.slots.retain(|_, slot| slot.batch == batch);
            self.bytes = self.slots.values().map(|slot| slot.bytes).sum();
            if self.is_over() {
                (self.slots, self.bytes) = (HashMap::new(), 0);
            }
            self.complete = false;
        }
        self.batch += 1;
    }
}

/// A working set whatever its rows, for those that load and write.
pub trait AnyWorkingSet: Send {
    fn table(&self) -> &'static ModelTable;

    /// Whether rows that were needed are not here.
    fn lacks(&self) -> bool;

    /// Whether no row will ever have to be loaded.
    fn knows_all(&self) -> bool;

    /// The keys of those rows. From now on they count as absent, but for what [`AnyWorkingSet::load`] brings.
    fn take_missing(&mut self) -> Tuples;

    /// A row that the table has, all columns.
    fn load(&mut self, columns: &mut dyn Iterator<Item = Option<&[u8]>>) -> Result<(), BadField>;

    /// A row that was buffered ([`AnyWorkingSet::buffered`]), all columns.
    fn restore(&mut self, columns: &mut dyn Iterator<Item = Option<&[u8]>>) -> Result<(), BadField>;

    /// What the batch changed; then the batch is over.
    fn take_changes(&mut self) -> TableChanges;

    /// So much stays in memory between batches.
    fn keep_at_most(&mut self, capacity: SetCapacity);

    /// From now on unsettled rows are buffered; there are none yet, but for what [`AnyWorkingSet::restore`] brings.
    fn buffer(&mut self);

    /// The buffered rows, and their digest.
    fn buffered(&self) -> (Tuples, Digest);

    /// There are more of them than the limit.
    fn exceeds_buffer(&self) -> bool;

    /// Ends the buffering: what was buffered is to be inserted.
    fn release(&mut self) -> TableChanges;
}

impl<R: ModelRow> AnyWorkingSet for WorkingSet<R> {
    fn table(&self) -> &'static ModelTable {
        R::TABLE
    }

    fn lacks(&self) -> bool {
        !self.missing.is_empty()
    }

    fn knows_all(&self) -> bool {
        self.complete && self.buffering
    }

    fn take_missing(&mut self) -> Tuples {
        let mut keys = Tuples::default();
        for key in std::mem::take(&mut self.missing) {
            keys.push(R::TABLE.key, |row| R::put_key(&key, row));
            self.load_row(key, None);
        }
        keys
    }

    fn load(&mut self, columns: &mut dyn Iterator<Item = Option<&[u8]>>) -> Result<(), BadField> {
        let row = R::get(&mut RowFields(columns))?;
        self.load_row(R::own(row.key_ref()), Some(row));
        Ok(())
    }

    fn restore(&mut self, columns: &mut dyn Iterator<Item = Option<&[u8]>>) -> Result<(), BadField> {
        let row = R::get(&mut RowFields(columns))?;
        self.insert(R::own(row.key_ref()), RowSlot::new(Some(row), self.batch));
        Ok(())
    }

    fn take_changes(&mut self) -> TableChanges {
        let mut changes = std::mem::take(&mut self.written_through);
        for key in self.changed.drain(..) {
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            let stored = slot.stored.take().flatten();
            let settled = slot.evicted || slot.now.as_ref().is_none_or(ModelRow::settled);
            if settled || !self.buffering || slot.loaded {
                changes.note(stored.as_ref(), slot.now.as_ref());
            }
            self.bytes -= slot.bytes;
            if settled {
                self.slots.remove(&key);
            } else {
                slot.bytes = RowSlot::weigh(slot.now.as_ref());
                self.bytes += slot.bytes;
            }
        }
        for key in self.loaded.drain(..) {
            if self.slots.get(&key).is_some_and(|slot| slot.loaded || slot.now.is_none())
                && let Some(slot) = self.slots.remove(&key)
            {
                self.bytes -= slot.bytes;
            }
        }
        if R::RETENTION == RetentionPolicy::ForBatch {
            self.slots.clear();
            self.bytes = 0;
        }
        self.make_room();
        // About as much comes with the next batch.
        self.written_through.inserts.reserve(changes.inserts.bytes().len());
        changes
    }

    fn keep_at_most(&mut self, capacity: SetCapacity) {
        self.capacity = capacity;
    }

    fn buffer(&mut self) {
        self.complete = R::RETENTION == RetentionPolicy::Unsettled;
        self.buffering = R::RETENTION != RetentionPolicy::ForBatch;
    }

    fn buffered(&self) -> (Tuples, Digest) {
        let (mut rows, mut digest) = (Tuples::default(), Digest::default());
        if self.buffering {
            for row in self.slots.values().filter_map(|slot| slot.now.as_ref()) {
                digest.add(Digest::of_row(R::TABLE.name, rows.push(R::TABLE.columns.len(), |fields| row.put(fields))));
            }
        }
        (rows, digest)
    }

    fn exceeds_buffer(&self) -> bool {
        self.buffering && self.is_over()
    }

    fn release(&mut self) -> TableChanges {
        let (inserts, added) = self.buffered();
        self.buffering = false;
        self.make_room();
        TableChanges { inserts, added, ..TableChanges::default() }
    }
}

impl TableChanges {
    pub fn is_empty(&self) -> bool {
        self.inserts.is_empty() && self.updates.is_empty() && self.deletes.is_empty()
    }

    fn note<R: ModelRow>(&mut self, stored: Option<&R>, now: Option<&R>) {
        let columns = R::TABLE.columns.len();
        if stored == now {
            return;
        }
        if let Some(row) = stored {
            let mut scratch = Tuples::default();
            self.removed.add(Digest::of_row(R::TABLE.name, scratch.push(columns, |fields| row.put(fields))));
        }
        let written = match (stored, now) {
            (None, Some(row)) => self.inserts.push(columns, |fields| row.put(fields)),
            (Some(_), Some(row)) => self.updates.push(columns, |fields| row.put(fields)),
            (Some(row), None) => {
                self.deletes.push(R::TABLE.key, |fields| R::put_key(&R::own(row.key_ref()), fields));
                return;
            }
            (None, None) => return,
        };
        self.added.add(Digest::of_row(R::TABLE.name, written));
    }
}
