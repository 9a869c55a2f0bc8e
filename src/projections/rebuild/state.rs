//! The progress of a rebuild: a row in `convoke.projection_rebuilds` that changes in the same transaction as the new rows, so
//! that a rebuild continues after a crash.

use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, Row as _};
use uuid::Uuid;

use super::{RebuildError, RebuildPurpose};
use crate::ids::Position;
use crate::projections::checkpoint::{Checkpoint, CheckpointStep, bigint, position};
use crate::projections::model::ModelInfo;
use crate::projections::rows::Digest;

/// What the live model was when its rows were looked at, and what this fold was at the same position.
#[derive(Clone, Copy, Debug, Default)]
pub struct ComparedDigests {
    pub position: Position,
    /// Of the live checkpoint at that position.
    pub live_digest: Digest,
    /// Of the live rows themselves where they are read, else the same; `None`: not known yet.
    pub live_rows: Option<Digest>,
    /// Of this fold; `None`: not there yet.
    pub own: Option<Digest>,
}

/// A fresh fold of one model.
#[derive(Clone, Debug)]
pub struct RebuildState {
    pub model: ModelInfo,
    pub purpose: RebuildPurpose,
    /// Ends the names of its tables.
    pub suffix: String,
    pub epoch: Uuid,
    pub position: Position,
    pub digest: Digest,
    pub compared: Option<ComparedDigests>,
    /// Rows that later events may touch lie apart from the others.
    pub buffering: bool,
    worker: Uuid,
}

fn digest(row: &PgRow, column: &str) -> sqlx::Result<Option<Digest>> {
    Ok(row.try_get::<Option<&[u8]>, _>(column)?.and_then(Digest::from_bytes))
}

impl RebuildState {
    /// Continues the rows of an earlier run if they are still usable, or starts again.
    pub async fn open(
        connection: &mut PgConnection,
        model: ModelInfo,
        purpose: RebuildPurpose,
        live: &Checkpoint,
        epoch: Uuid,
    ) -> Result<Self, RebuildError> {
        if let Some(state) = Self::resume(connection, model, purpose, epoch).await? {
            return Ok(state);
        }
        let suffix = format!("{}{}", purpose.prefix(), live.generation + 1);
        // The live tables of before the last swap have this one's name, should a kill have left them.
        let before = format!("{}{}", purpose.prefix(), live.generation);
        let tables = model.table_names();
        let worker = Uuid::new_v4();
        let mut transaction = connection.begin().await?;
        for left in [&before, &suffix] {
            sqlx::query("SELECT convoke.rm_drop($1, $2)").bind(&tables).bind(left).execute(&mut *transaction).await?;
        }
        sqlx::query("SELECT convoke.rm_create($1, $2)").bind(&tables).bind(&suffix).execute(&mut *transaction).await?;
        sqlx::query(
            "INSERT INTO convoke.projection_rebuilds (name, purpose, suffix, epoch, shape, worker)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(model.name)
        .bind(purpose.as_str())
        .bind(&suffix)
        .bind(epoch)
        .bind(i32::from(model.shape))
        .bind(worker)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let digest = Digest::default();
        Ok(Self { model, purpose, suffix, epoch, position: 0, digest, compared: None, buffering: true, worker })
    }

    async fn resume(
        connection: &mut PgConnection,
        model: ModelInfo,
        purpose: RebuildPurpose,
        epoch: Uuid,
    ) -> Result<Option<Self>, RebuildError> {
        let worker = Uuid::new_v4();
        let row = sqlx::query(
            "UPDATE convoke.projection_rebuilds
             SET worker = $3
             WHERE name = $1 AND purpose = $2
             RETURNING suffix, epoch, shape, position, digest, holding, compared_position, live_digest,
                 live_rows, own_digest",
        )
        .bind(model.name)
        .bind(purpose.as_str())
        .bind(worker)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let compared = match row.try_get::<Option<i64>, _>("compared_position")? {
            None => None,
            Some(at) => Some(ComparedDigests {
                position: position(at),
                live_digest: digest(&row, "live_digest")?.unwrap_or_default(),
                live_rows: digest(&row, "live_rows")?,
                own: digest(&row, "own_digest")?,
            }),
        };
        let state = Self {
            model,
            purpose,
            suffix: row.try_get("suffix")?,
            epoch: row.try_get("epoch")?,
            position: position(row.try_get("position")?),
            digest: digest(&row, "digest")?.unwrap_or_default(),
            compared,
            buffering: row.try_get("holding")?,
            worker,
        };
        let is_ours = state.epoch == epoch && row.try_get::<i32, _>("shape")? == i32::from(model.shape);
        if is_ours && state.has_tables(connection).await? {
            return Ok(Some(state));
        }
        // Of another program or of another history; or its tables are gone, as an earlier version could leave it when it was killed.
        state.discard(connection).await?;
        Ok(None)
    }

    /// Whether every table that the progress speaks of is there.
    async fn has_tables(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        sqlx::query_scalar(
            "SELECT bool_and(to_regclass(format('convoke.%I', t.name || s.suffix)) IS NOT NULL)
             FROM unnest($1::text[]) AS t (name)
             CROSS JOIN unnest(ARRAY[$2, $2 || 'h']) AS s (suffix)",
        )
        .bind(self.model.table_names())
        .bind(&self.suffix)
        .fetch_one(connection)
        .await
    }

    /// Moves on in the transaction that wrote the rows.
    pub async fn advance(&mut self, connection: &mut PgConnection, to: &CheckpointStep) -> Result<(), RebuildError> {
        let moved = sqlx::query(
            "UPDATE convoke.projection_rebuilds
             SET position = $1,
                 recorded_at = $2,
                 digest = $3,
                 own_digest = CASE WHEN compared_position = $1 THEN $3 ELSE own_digest END,
                 holding = $8,
                 updated_at = clock_timestamp()
             WHERE name = $4 AND purpose = $5 AND position = $6 AND worker = $7",
        )
        .bind(bigint(to.position))
        .bind(to.recorded_at.utc())
        .bind(to.digest.to_bytes().as_slice())
        .bind(self.model.name)
        .bind(self.purpose.as_str())
        .bind(bigint(self.position))
        .bind(self.worker)
        .bind(self.buffering)
        .execute(connection)
        .await?
        .rows_affected();
        (moved == 1).then_some(()).ok_or(RebuildError::Replaced { name: self.model.name })
    }

    /// What it is once a step was committed.
    pub fn stepped(&mut self, to: &CheckpointStep) {
        self.position = to.position;
        self.digest = to.digest;
        if let Some(compared) = &mut self.compared
            && compared.position == to.position
        {
            compared.own = Some(to.digest);
        }
    }

    /// Notes at which position live and fresh rows are compared.
    pub async fn compare_at(&mut self, connection: &mut PgConnection, live: &Checkpoint) -> sqlx::Result<()> {
        let own = (live.position == self.position).then_some(self.digest);
        sqlx::query(
            "UPDATE convoke.projection_rebuilds
             SET compared_position = $1,
                 live_digest = $2,
                 live_rows = NULL,
                 own_digest = $3
             WHERE name = $4 AND purpose = $5 AND worker = $6",
        )
        .bind(bigint(live.position))
        .bind(live.digest.to_bytes().as_slice())
        .bind(own.map(|digest| digest.to_bytes().to_vec()))
        .bind(self.model.name)
        .bind(self.purpose.as_str())
        .bind(self.worker)
        .execute(connection)
        .await?;
        self.compared =
            Some(ComparedDigests { position: live.position, live_digest: live.digest, live_rows: None, own });
        Ok(())
    }

    /// Notes what the live rows add up to.
    pub async fn looked(&mut self, connection: &mut PgConnection, rows: Digest) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE convoke.projection_rebuilds SET live_rows = $1 WHERE name = $2 AND purpose = $3 AND worker = $4",
        )
        .bind(rows.to_bytes().as_slice())
        .bind(self.model.name)
        .bind(self.purpose.as_str())
        .bind(self.worker)
        .execute(connection)
        .await?;
        if let Some(compared) = &mut self.compared {
            compared.live_rows = Some(rows);
        }
        Ok(())
    }

    /// Nothing is buffered any more, from the transaction that wrote the rows on.
    pub async fn released(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(
            "UPDATE convoke.projection_rebuilds SET holding = false WHERE name = $1 AND purpose = $2 AND worker = $3",
        )
        .bind(self.model.name)
        .bind(self.purpose.as_str())
        .bind(self.worker)
        .execute(connection)
        .await
        .map(drop)
    }

    /// Makes the unique indexes, unless they are there: rows are to be found by them.
    pub async fn make_keys(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        self.on_tables(connection, "SELECT convoke.rm_keys($1, $2)").await
    }

    /// Makes the tables fit to be read.
    pub async fn make_indexes(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        self.on_tables(connection, "SELECT convoke.rm_finish($1, $2)").await
    }

    async fn on_tables(&self, connection: &mut PgConnection, statement: &'static str) -> sqlx::Result<()> {
        sqlx::query(statement).bind(self.model.table_names()).bind(&self.suffix).execute(connection).await.map(drop)
    }

    /// Its tables and its progress go, together: progress without tables is nothing to go on with.
    pub async fn discard(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let mut transaction = connection.begin().await?;
        self.on_tables(&mut transaction, "SELECT convoke.rm_drop($1, $2)").await?;
        self.forget(&mut transaction).await?;
        transaction.commit().await
    }

    /// Its progress goes.
    pub async fn forget(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query("DELETE FROM convoke.projection_rebuilds WHERE name = $1 AND purpose = $2")
            .bind(self.model.name)
            .bind(self.purpose.as_str())
            .execute(connection)
            .await
            .map(drop)
    }
}
