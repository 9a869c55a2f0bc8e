//! Collects rows for the new tables. A `COPY` has a fixed cost, so one `COPY` writes the rows of several chunks.

use sqlx::PgConnection;

use crate::projections::rows::{ModelTable, StoreError, TableSet, Tuples, copy};

/// Bytes of all tables, where nobody says otherwise, that are worth a `COPY` of each. PostgreSQL makes a slot for each of the
/// first thousand rows of a `COPY` and keeps them in a list that grows slow; a chunk has two or three thousand rows of a table,
/// this has some ten thousand.
pub const WORTH: usize = 4 << 20;

/// Empty whenever no transaction is open.
#[derive(Default)]
pub struct UnwrittenRows(Vec<(&'static ModelTable, Tuples)>);

impl UnwrittenRows {
    pub fn add(&mut self, table: &'static ModelTable, rows: &Tuples) {
        if rows.is_empty() {
            return;
        }
        let place = self.0.iter().position(|(known, _)| known.name == table.name).unwrap_or_else(|| {
            self.0.push((table, Tuples::default()));
            self.0.len() - 1
        });
        self.0[place].1.extend(rows);
    }

    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(_, rows)| rows.bytes().len()).sum()
    }

    /// They are in the tables then.
    pub async fn write(&mut self, connection: &mut PgConnection, table_set: &TableSet) -> Result<(), StoreError> {
        for (table, rows) in &mut self.0 {
            copy(connection, &table_set.name(table), table, rows).await?;
            rows.clear();
        }
        Ok(())
    }
}
