//! Applies a batch of events to the tables of a read model, within an open transaction. Live projections and rebuilds share it.

use sqlx::PgConnection;

use super::entry::Entry;
use super::forgotten::Forgotten;
use super::model::ReadModel;
use super::rows::{Changes, Digest, Space, StoreError, Table};

/// Rows that follow from rows not in hand are asked for in rounds: a track, then its owner. More rounds than this are a
/// mistake in a model.
const ROUNDS: usize = 4;

/// Names the rows that the events touch; says whether some are to be loaded.
pub fn need<M: ReadModel>(model: &mut M, forgotten: &Forgotten, entries: &[Entry]) -> bool {
    if model.sets().iter().all(|set| set.knows_all()) {
        return false;
    }
    forgotten.leaves(entries).for_each(|entry| model.need(entry));
    model.sets().iter().any(|set| set.lacks())
}

/// Loads the rows that the events touch.
pub async fn load<M: ReadModel>(
    model: &mut M,
    connection: &mut PgConnection,
    space: &Space,
    forgotten: &Forgotten,
    entries: &[Entry],
) -> Result<(), StoreError> {
    for _ in 0..ROUNDS {
        if !need(model, forgotten, entries) {
            break;
        }
        space.load(connection, model.sets()).await?;
    }
    Ok(())
}

/// Folds the events and takes what that changed, table by table.
pub fn fold<M: ReadModel>(model: &mut M, forgotten: &Forgotten, entries: &[Entry]) -> Vec<(&'static Table, Changes)> {
    forgotten.leaves(entries).for_each(|entry| model.fold(entry));
    model.sets().into_iter().map(|set| (set.table(), set.take_changes())).collect()
}

/// What the changes make of a digest.
pub fn digest_after(mut digest: Digest, changes: &[(&'static Table, Changes)]) -> Digest {
    for (_, changes) in changes {
        digest.add(changes.added);
        digest.subtract(changes.removed);
    }
    digest
}

/// Writes the changes.
pub async fn write(
    connection: &mut PgConnection,
    space: &Space,
    changes: &[(&'static Table, Changes)],
) -> Result<(), StoreError> {
    for (table, changes) in changes {
        if !changes.is_empty() {
            space.write(connection, table, changes).await?;
        }
    }
    Ok(())
}
