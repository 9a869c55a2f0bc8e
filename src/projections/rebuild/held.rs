//! Stores the buffered rows of a rebuild with each transaction, so that a rebuild continues after a crash.

use futures_util::StreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use super::RebuildError;
use super::state::Fresh;
use crate::projections::model::ReadModel;
use crate::projections::rows::{AnySet, Digest, Splitter, StoreError, Table, Tuple, copy};

/// Where the held rows of a table are kept.
fn name(table: &Table, suffix: &str) -> String {
    format!("convoke.{}{suffix}h", table.name)
}

/// Reads back what was kept.
pub async fn restore(connection: &mut PgConnection, suffix: &str, set: &mut dyn AnySet) -> Result<(), RebuildError> {
    let table = set.table();
    let statement =
        format!("COPY (SELECT {} FROM {}) TO STDOUT WITH (FORMAT binary)", table.list(""), name(table, suffix));
    let mut stream = connection.copy_out_raw(&statement).await?;
    let mut splitter = Splitter::default();
    let mut loaded = Ok(());
    while let Some(message) = stream.next().await {
        splitter.feed(message?, |row| {
            let row = set.restore(&mut Tuple::of(row));
            if loaded.is_ok() {
                loaded = row;
            }
        })?;
    }
    splitter.finish()?;
    Ok(loaded.map_err(StoreError::from)?)
}

/// Over all rows that are held.
pub fn digest(model: &mut impl ReadModel) -> Digest {
    let mut sum = Digest::default();
    model.sets().into_iter().for_each(|set| sum.add(set.held().1));
    sum
}

/// Keeps what is held; returns its digest.
pub async fn keep(
    connection: &mut PgConnection,
    suffix: &str,
    model: &mut impl ReadModel,
) -> Result<Digest, RebuildError> {
    let mut sum = Digest::default();
    for set in model.sets() {
        let (rows, digest) = set.held();
        copy(connection, &name(set.table(), suffix), set.table(), &rows).await?;
        sum.add(digest);
    }
    Ok(sum)
}

/// Nothing is kept.
pub async fn clear(connection: &mut PgConnection, fresh: &Fresh) -> Result<(), RebuildError> {
    let tables: Vec<String> = fresh.model.tables.iter().map(|table| name(table, &fresh.suffix)).collect();
    let statement = format!("TRUNCATE {}", tables.join(", "));
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await?;
    Ok(())
}
