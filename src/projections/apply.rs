//! Applies a batch of events to the tables of a read model, within an open transaction. Live projections and rebuilds share it.

use sqlx::PgConnection;

use super::decoded_event::DecodedEvent;
use super::model::ReadModel;
use super::retention_filter::RetentionFilter;
use super::rows::{Digest, ModelTable, StoreError, TableChanges, TableSet};

/// Rows that follow from rows not in hand are asked for in rounds: a track, then its owner. More rounds than this are a
/// mistake in a model.
const ROUNDS: usize = 4;

/// Names the rows that the events touch; says whether some are to be loaded.
pub fn need<M: ReadModel>(model: &mut M, filter: &RetentionFilter, entries: &[DecodedEvent]) -> bool {
    if model.sets().iter().all(|set| set.knows_all()) {
        return false;
    }
    filter.kept(entries).for_each(|entry| model.need(entry));
    model.sets().iter().any(|set| set.lacks())
}

/// Loads the rows that the events touch.
pub async fn load<M: ReadModel>(
    model: &mut M,
    connection: &mut PgConnection,
    table_set: &TableSet,
    filter: &RetentionFilter,
    entries: &[DecodedEvent],
) -> Result<(), StoreError> {
    for _ in 0..ROUNDS {
        if !need(model, filter, entries) {
            break;
        }
        table_set.load(connection, model.sets()).await?;
    }
    Ok(())
}

/// Folds the events and takes what that changed, table by table.
pub fn fold<M: ReadModel>(
    model: &mut M,
    filter: &RetentionFilter,
    entries: &[DecodedEvent],
) -> Vec<(&'static ModelTable, TableChanges)> {
    filter.kept(entries).for_each(|entry| model.fold(entry));
    model.sets().into_iter().map(|set| (set.table(), set.take_changes())).collect()
}

/// What the changes make of a digest.
pub fn digest_after(mut digest: Digest, changes: &[(&'static ModelTable, TableChanges)]) -> Digest {
    for (_, changes) in changes {
        digest.add(changes.added);
        digest.subtract(changes.removed);
    }
    digest
}

/// Writes the changes.
pub async fn write(
    connection: &mut PgConnection,
    table_set: &TableSet,
    changes: &[(&'static ModelTable, TableChanges)],
) -> Result<(), StoreError> {
    for (table, changes) in changes {
        if !changes.is_empty() {
            table_set.write(connection, table, changes).await?;
        }
    }
    Ok(())
}
