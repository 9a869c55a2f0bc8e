//! Tables in memory, for folds without a database.

use std::collections::BTreeMap;

use convoke::projections::apply;
use convoke::projections::decoded_event::DecodedEvent;
use convoke::projections::model::ReadModel;
use convoke::projections::retention_filter::RetentionFilter;
use convoke::projections::rows::{Digest, ModelRow, ModelTable, RowFields, TableChanges, Tuple};

type Cells = Vec<Option<Vec<u8>>>;

/// A model that holds rows, as a rebuild begins.
pub fn holding<M: ReadModel>() -> M {
    let mut model = M::default();
    model.sets().into_iter().for_each(|set| set.buffer());
    model
}

#[derive(Default)]
pub struct Memory {
    tables: BTreeMap<&'static str, BTreeMap<Cells, Cells>>,
    /// As the fold keeps it.
    pub digest: Digest,
}

fn cells(tuple: Tuple<'_>) -> Cells {
    tuple.map(|cell| cell.map(<[u8]>::to_vec)).collect()
}

impl Memory {
    /// One batch, as a worker takes it.
    pub fn take<M: ReadModel>(&mut self, model: &mut M, entries: &[DecodedEvent]) {
        loop {
            entries.iter().for_each(|entry| model.need(entry));
            if !self.load(model) {
                break;
            }
        }
        let changes = apply::fold(model, &RetentionFilter::default(), entries);
        self.digest = apply::digest_after(self.digest, &changes);
        for (table, changes) in changes {
            self.write(table, &changes);
        }
    }

    /// What a fold in bulk held is written.
    pub fn release<M: ReadModel>(&mut self, model: &mut M) {
        for set in model.sets() {
            let (table, changes) = (set.table(), set.release());
            self.digest.add(changes.added);
            self.write(table, &changes);
        }
    }

    fn load<M: ReadModel>(&self, model: &mut M) -> bool {
        let mut any = false;
        for set in model.sets() {
            let table = self.tables.get(set.table().name);
            for key in set.take_missing().iter() {
                any = true;
                if let Some(row) = table.and_then(|table| table.get(&cells(key))) {
                    set.load(&mut row.iter().map(|cell| cell.as_deref())).unwrap();
                }
            }
        }
        any
    }

    fn write(&mut self, table: &'static ModelTable, changes: &TableChanges) {
        let rows = self.tables.entry(table.name).or_default();
        for key in changes.deletes.iter() {
            assert!(rows.remove(&cells(key)).is_some(), "{}: what is deleted was there", table.name);
        }
        for row in changes.updates.iter().map(cells) {
            assert!(rows.insert(row[..table.key].to_vec(), row).is_some(), "{}: what changes was there", table.name);
        }
        for row in changes.inserts.iter().map(cells) {
            assert!(rows.insert(row[..table.key].to_vec(), row).is_none(), "{}: what is new was not there", table.name);
        }
    }

    pub fn rows<R: ModelRow>(&self) -> Vec<R> {
        let rows = self.tables.get(R::TABLE.name).into_iter().flatten();
        rows.map(|(_, cells)| R::get(&mut RowFields(cells.iter().map(|cell| cell.as_deref()))).unwrap()).collect()
    }

    /// Over the rows as they lie here.
    pub fn digest_of_rows(&self) -> Digest {
        let mut sum = Digest::default();
        for (table, rows) in &self.tables {
            for row in rows.values() {
                let mut bytes = i16::try_from(row.len()).unwrap().to_be_bytes().to_vec();
                for cell in row {
                    match cell {
                        None => bytes.extend((-1i32).to_be_bytes()),
                        Some(cell) => {
                            bytes.extend(i32::try_from(cell.len()).unwrap().to_be_bytes());
                            bytes.extend(cell);
                        }
                    }
                }
                sum.add(Digest::of_row(table, &bytes));
            }
        }
        sum
    }

    pub fn same_rows(&self, other: &Self) -> bool {
        let filled = |memory: &Self| {
            let tables = memory.tables.iter().filter(|(_, rows)| !rows.is_empty());
            tables.map(|(name, rows)| (*name, rows.clone())).collect::<Vec<_>>()
        };
        filled(self) == filled(other)
    }
}
