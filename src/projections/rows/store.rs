//! Loads and writes rows: one statement for each table of a batch, for any number of rows.

use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgRow, PgTypeInfo};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _, Type};

use super::field::{BadField, SqlType};
use super::table::{Column, ModelTable};
use super::tuples::{COPY_HEADER, COPY_TRAILER, Tuples};
use super::working_set::{AnyWorkingSet, TableChanges};

/// Bytes sent at a time: more would only pile up on the way.
const COPY_PART: usize = 64 * 1024;

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refuses the rows themselves; trying again would not help.
    #[error("the database does not take the rows: {0}")]
    Refused(#[source] sqlx::Error),
    #[error(transparent)]
    BadRow(#[from] BadField),
    /// Somebody else wrote the table.
    #[error("{table} has only {updated} of {wanted} rows that were in it before")]
    Gone { table: &'static str, updated: u64, wanted: u64 },
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // Classes 22 (data), 23 (constraint) and 42 (no such table or column, no right) are about what was sent.
        let code = error.as_database_error().and_then(|e| e.code());
        match code.as_deref().and_then(|code| code.get(..2)) {
            Some("22" | "23" | "42") => StoreError::Refused(error),
            _ => StoreError::Unavailable(error),
        }
    }
}

/// Which tables: the live ones, or those of a fresh fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableSet {
    Live,
    /// Loaded in bulk; the suffix ends the names of its tables.
    Fresh(String),
}

impl TableSet {
    /// The name of a table here, with its schema.
    pub fn name(&self, table: &ModelTable) -> String {
        match self {
            TableSet::Live => format!("convoke.{}", table.name),
            TableSet::Fresh(suffix) => format!("convoke.{}{suffix}", table.name),
        }
    }

    /// Loads what the sets need and do not have.
    pub async fn load(
        &self,
        connection: &mut PgConnection,
        sets: Vec<&mut dyn AnyWorkingSet>,
    ) -> Result<(), StoreError> {
        for set in sets {
            let keys = set.take_missing();
            if keys.is_empty() {
                continue;
            }
            let table = set.table();
            let statement = format!(
                "SELECT {} FROM {} JOIN {} ON ({}) = ({})",
                table.list("t."),
                format_args!("UNNEST({}) AS k ({})", arrays(table.key_columns()), table.key_list("")),
                format_args!("{} t", self.name(table)),
                table.key_list("t."),
                table.key_list("k."),
            );
            let rows = bind(sqlx::query(AssertSqlSafe(statement)), table.key_columns(), &keys)
                .fetch_all(&mut *connection)
                .await?;
            for row in &rows {
                set.load(&mut columns(row))?;
            }
        }
        Ok(())
    }

    /// Writes what a batch did to a table.
    pub async fn write(
        &self,
        connection: &mut PgConnection,
        table: &ModelTable,
        changes: &TableChanges,
    ) -> Result<(), StoreError> {
        // Deletes go first: none of them is of a row that is inserted or updated, but they free their places.
        if !changes.deletes.is_empty() {
            let statement = format!(
                "DELETE FROM {} t USING UNNEST({}) AS k ({}) WHERE ({}) = ({})",
                self.name(table),
                arrays(table.key_columns()),
                table.key_list(""),
                table.key_list("t."),
                table.key_list("k."),
            );
            bind(sqlx::query(AssertSqlSafe(statement)), table.key_columns(), &changes.deletes)
                .execute(&mut *connection)
                .await?;
        }
        self.update(connection, table, &changes.updates).await?;
        match self {
            TableSet::Fresh(_) => copy(connection, &self.name(table), table, &changes.inserts).await,
            TableSet::Live => self.insert(connection, table, &changes.inserts).await,
        }
    }

    /// UPDATE costs about half of INSERT … ON CONFLICT.
    async fn update(&self, connection: &mut PgConnection, table: &ModelTable, rows: &Tuples) -> Result<(), StoreError> {
        let changed: Vec<String> = table.columns[table.key..].iter().map(|c| format!("{0} = k.{0}", c.name)).collect();
        if rows.is_empty() || changed.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "UPDATE {} t SET {} FROM (SELECT {}) AS k WHERE ({}) = ({})",
            self.name(table),
            changed.join(", "),
            row_by_row(table.columns),
            table.key_list("t."),
            table.key_list("k."),
        );
        let updated =
            bind(sqlx::query(AssertSqlSafe(statement)), table.columns, rows).execute(connection).await?.rows_affected();
        let wanted = rows.len() as u64;
        if updated == wanted { Ok(()) } else { Err(StoreError::Gone { table: table.name, updated, wanted }) }
    }

    async fn insert(&self, connection: &mut PgConnection, table: &ModelTable, rows: &Tuples) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let changed: Vec<String> =
            table.columns[table.key..].iter().map(|c| format!("{0} = excluded.{0}", c.name)).collect();
        let statement = format!(
            "INSERT INTO {} ({}) SELECT {} ON CONFLICT ({}) DO {}",
            self.name(table),
            table.list(""),
            row_by_row(table.columns),
            table.key_list(""),
            if changed.is_empty() { "NOTHING".into() } else { format!("UPDATE SET {}", changed.join(", ")) },
        );
        bind(sqlx::query(AssertSqlSafe(statement)), table.columns, rows).execute(connection).await?;
        Ok(())
    }
}

/// Writes rows in bulk into a table of the shape of `table`.
pub async fn copy(
    connection: &mut PgConnection,
    into: &str,
    table: &ModelTable,
    rows: &Tuples,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let statement = format!("COPY {into} ({}) FROM STDIN WITH (FORMAT binary)", table.list(""));
    let mut copy = connection.copy_in_raw(&statement).await?;
    copy.send(COPY_HEADER).await?;
    for part in rows.bytes().chunks(COPY_PART) {
        copy.send(part).await?;
    }
    copy.send(COPY_TRAILER).await?;
    copy.finish().await?;
    Ok(())
}

/// The columns of a row that a prepared statement answered with.
pub fn columns(row: &PgRow) -> impl Iterator<Item = Option<&[u8]>> {
    (0..row.len()).map(|at| row.try_get_raw(at).ok().and_then(|value| value.as_bytes().ok()))
}

/// `$1::uuid[], $2::text[], …`.
fn arrays(columns: &[Column]) -> String {
    let arrays = columns.iter().zip(1..).map(|(column, number)| format!("${number}::{}[]", column.kind.bound()));
    arrays.collect::<Vec<_>>().join(", ")
}

/// Bound rows in a select list, where arrays give row after row; in FROM, each would first be copied into a store of its own.
fn row_by_row(columns: &[Column]) -> String {
    let items = columns.iter().zip(1..).map(|(column, number)| {
        let cast = if matches!(column.kind, SqlType::Json) { "::json" } else { "" };
        format!("unnest(${number}::{}[]){cast} AS {}", column.kind.bound(), column.name)
    });
    items.collect::<Vec<_>>().join(", ")
}

type Query<'q> = sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments>;

/// Binds rows as one array for each column.
fn bind<'q>(query: Query<'q>, columns: &[Column], rows: &Tuples) -> Query<'q> {
    let mut arrays: Vec<ColumnArray> = columns.iter().map(|column| ColumnArray::new(column.kind, rows.len())).collect();
    for row in rows.iter() {
        for (array, field) in arrays.iter_mut().zip(row) {
            array.push(field);
        }
    }
    arrays.into_iter().fold(query, |query, array| query.bind(array))
}

/// An array of PostgreSQL as it is sent: its elements are the fields of [`Tuples`], byte for byte.
struct ColumnArray {
    kind: SqlType,
    bytes: Vec<u8>,
}

impl ColumnArray {
    /// One dimension, from 1, nulls possible.
    fn new(kind: SqlType, length: usize) -> Self {
        let mut bytes = Vec::with_capacity(20 + 20 * length);
        for word in [1, 1, kind.bound_oid(), u32::try_from(length).unwrap_or(u32::MAX), 1] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        Self { kind, bytes }
    }

    fn push(&mut self, field: Option<&[u8]>) {
        match field {
            None => self.bytes.extend_from_slice(&(-1i32).to_be_bytes()),
            Some(field) => {
                self.bytes.extend_from_slice(&i32::try_from(field.len()).unwrap_or(i32::MAX).to_be_bytes());
                self.bytes.extend_from_slice(field);
            }
        }
    }
}

impl Type<Postgres> for ColumnArray {
    fn type_info() -> PgTypeInfo {
        SqlType::Text.bound_array()
    }
}

impl Encode<'_, Postgres> for ColumnArray {
    fn encode_by_ref(&self, out: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        out.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.kind.bound_array())
    }
}
