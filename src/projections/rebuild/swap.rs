//! Replaces the live tables with the new ones in one transaction: locks the live checkpoint, folds the missing events, renames
//! the tables, and copies the rebuild's position to the checkpoint.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::RebuildError;
use super::model_rebuild::ModelRebuild;
use super::state::RebuildState;
use crate::events::log::EventLog;
use crate::projections::apply;
use crate::projections::checkpoint::{self, Checkpoint, CheckpointStep};
use crate::projections::decoded_event::DecodedEvent;
use crate::projections::model::ReadModel;
use crate::projections::rows::TableSet;

/// How long a swap waits for queries on the live tables to end, while later queries wait behind it: short at first, in the
/// end longer than the server needs to call off a vacuum.
const SWAP_PATIENCE: [Duration; 12] = {
    let mut patience = [Duration::from_millis(200); 12];
    patience[8] = Duration::from_millis(1500);
    patience[9] = Duration::from_millis(1500);
    patience[10] = Duration::from_millis(3000);
    patience[11] = Duration::from_millis(3000);
    patience
};

impl<M: ReadModel> ModelRebuild<M> {
    pub(super) async fn swap_in(&mut self, log: &EventLog, gap: u64) -> Result<bool, RebuildError> {
        for patience in SWAP_PATIENCE {
            if let Some(swapped) = self.try_swap(log, gap, patience).await? {
                return Ok(swapped);
            }
            // What waited behind this attempt goes first.
            tokio::time::sleep(patience).await;
        }
        Err(RebuildError::InUse { name: M::NAME })
    }

    /// One attempt; `None`: the tables were in use for longer than `patience`.
    async fn try_swap(&mut self, log: &EventLog, gap: u64, patience: Duration) -> Result<Option<bool>, RebuildError> {
        let statement = format!(
            "BEGIN; SET LOCAL lock_timeout = {}; SELECT FROM convoke.projections WHERE name = '{}' FOR UPDATE",
            patience.as_millis(),
            M::NAME
        );
        let mut transaction = match self.connection.begin_with(AssertSqlSafe(statement)).await {
            Ok(transaction) => transaction,
            Err(error) if is_lock_timeout(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let live = checkpoint::find(&mut transaction, M::NAME).await?;
        // A live model of another history, or one that was rebuilt meanwhile, says nothing about how far to go.
        let missing =
            if live.epoch == self.state.epoch { live.position.saturating_sub(self.state.position) } else { 0 };
        if missing > gap {
            transaction.rollback().await?;
            return Ok(Some(false));
        }
        let mut step = None;
        if missing > 0 {
            let envelopes = log.read(self.state.position, usize::try_from(missing).unwrap_or(usize::MAX)).await?;
            let entries: Vec<DecodedEvent> = envelopes.iter().map(DecodedEvent::of).collect::<Result<_, _>>()?;
            // If this attempt fails, what was folded is not in the tables: the model begins anew.
            let mut model = self.model.take().unwrap_or_default();
            let table_set = TableSet::Fresh(self.state.suffix.clone());
            apply::load(&mut model, &mut transaction, &table_set, &self.filter, &entries).await?;
            let changes = apply::fold(&mut model, &self.filter, &entries);
            apply::write(&mut transaction, &table_set, &changes).await?;
            step = entries.last().map(|last| CheckpointStep {
                position: last.position,
                recorded_at: last.recorded_at,
                digest: apply::digest_after(self.state.digest, &changes),
            });
            if let Some(step) = &step {
                self.state.advance(&mut transaction, step).await?;
            }
        }
        let tables = self.state.model.table_names();
        let swapped = sqlx::query("SELECT convoke.rm_swap($1, $2)")
            .bind(&tables)
            .bind(&self.state.suffix)
            .execute(&mut *transaction)
            .await;
        match swapped {
            Err(error) if is_lock_timeout(&error) => {
                transaction.rollback().await?;
                return Ok(None);
            }
            other => other?,
        };
        put_live(&mut transaction, &self.state, &live).await?;
        self.state.forget(&mut transaction).await?;
        transaction.commit().await?;
        if let Some(step) = step {
            self.settled = step.digest;
            self.state.stepped(&step);
        }
        Ok(Some(true))
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}

/// The live checkpoint says what the fresh fold's said.
async fn put_live(connection: &mut PgConnection, state: &RebuildState, live: &Checkpoint) -> Result<(), RebuildError> {
    sqlx::query(
        "UPDATE convoke.projections p
         SET position = r.position,
             recorded_at = r.recorded_at,
             digest = r.digest,
             shape = r.shape,
             epoch = r.epoch,
             generation = $3,
             updated_at = clock_timestamp(),
             status = 'running',
             error = NULL,
             failed_position = NULL,
             stopped_at = NULL
         FROM convoke.projection_rebuilds r
         WHERE p.name = $1 AND r.name = $1 AND r.purpose = $2",
    )
    .bind(state.model.name)
    .bind(state.purpose.as_str())
    .bind(live.generation + 1)
    .execute(connection)
    .await?;
    Ok(())
}
