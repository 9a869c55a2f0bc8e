//! Stores the buffered rows of a rebuild with each transaction, so that a rebuild continues after a crash.

use futures_util::StreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use super::RebuildError;
use super::state::RebuildState;
use crate::projections::model::ReadModel;
use crate::projections::rows::{AnyWorkingSet, CopySplitter, Digest, ModelTable, StoreError, Tuple, copy};

/// Where the buffered rows of a table are stored.
fn name(table: &ModelTable, suffix: &str) -> String {
    format!("convoke.{}{suffix}h", table.name)
}

/// Reads back what was kept.
pub async fn restore(
    connection: &mut PgConnection,
    suffix: &str,
    set: &mut dyn AnyWorkingSet,
) -> Result<(), RebuildError> {
    let table = set.table();
    let statement =
        format!("COPY (SELECT {} FROM {}) TO STDOUT WITH (FORMAT binary)", table.list(""), name(table, suffix));
    let mut stream = connection.copy_out_raw(&statement).await?;
    let mut splitter = CopySplitter::default();
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

/// Over all buffered rows.
pub fn digest(model: &mut impl ReadModel) -> Digest {
    let mut sum = Digest::default();
    model.sets().into_iter().for_each(|set| sum.add(set.buffered().1));
    sum
}

/// Stores the buffered rows; returns their digest.
pub async fn keep(
    connection: &mut PgConnection,
    suffix: &str,
    model: &mut impl ReadModel,
) -> Result<Digest, RebuildError> {
    let mut sum = Digest::default();
    for set in model.sets() {
        let (rows, digest) = set.buffered();
        copy(connection, &name(set.table(), suffix), set.table(), &rows).await?;
        sum.add(digest);
    }
    Ok(sum)
}

/// Nothing is kept.
pub async fn clear(connection: &mut PgConnection, state: &RebuildState) -> Result<(), RebuildError> {
    let tables: Vec<String> = state.model.tables.iter().map(|table| name(table, &state.suffix)).collect();
    let statement = format!("TRUNCATE {}", tables.join(", "));
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await?;
    Ok(())
}
