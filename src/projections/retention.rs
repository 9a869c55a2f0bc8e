//! Retention: drops the months of rooms that a model need not keep, and creates partitions for coming months.
//!
//! Tables that grow have a partition for each month in which rooms were created (migration 0017). When all rooms of a month have
//! ended and the month is older than the model's retention, one transaction subtracts its rows from the digest, drops its
//! partitions and increments the model's generation. The fold ignores these rooms from then on
//! ([`super::retention_filter`]), so that a rebuild produces the remaining rows. The log keeps all events.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::MODELS;
use super::checkpoint;
use super::model::ModelInfo;
use super::rows::{BadCopy, CopySplitter, Digest};
use crate::config::RetentionConfig;
use crate::database::pool::Pool;
use crate::database::timeout::with_timeout;
use crate::events::time::{Clock, Timestamp};

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(600);
/// How far ahead months are made.
const AHEAD_S: i64 = 62 * 86_400;
/// How long queries on a table are waited for, while later ones wait behind.
const LOCK_PATIENCE: &str = "SET LOCAL lock_timeout = '2s'; SET LOCAL statement_timeout = 0";
/// Whoever is there answers sooner: a month may be large.
const MONTH_TIMEOUT: Duration = Duration::from_secs(3_600);

#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Copy(#[from] BadCopy),
}

/// A month that a model dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedMonth {
    pub model: &'static str,
    pub month: Timestamp,
    pub rows: u64,
}

#[derive(Clone)]
pub struct RetentionWorker {
    pool: Pool,
    config: RetentionConfig,
    clock: Clock,
}

impl RetentionWorker {
    pub fn new(pool: Pool, config: RetentionConfig, clock: Clock) -> Self {
        Self { pool, config, clock }
    }

    /// Until told to stop. What is in use, or cannot be reached, is tried again in the next round.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let done = tokio::select! {
                done = self.round() => done,
                () = stop.cancelled() => return,
            };
            match done {
                Ok(gone) => gone.iter().for_each(|gone| {
                    let (projection, month) = (gone.model, gone.month.to_string());
                    tracing::info!(projection, month, rows = gone.rows, "dropped an expired month of a read model");
                }),
                Err(error) if is_in_use(&error) => tracing::debug!(%error, "expired months are in use, retrying later"),
                Err(error) => tracing::warn!(%error, "retention of read models failed, retrying"),
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Makes months ahead, and lets go of what is older than it should be.
    pub async fn round(&self) -> Result<Vec<DroppedMonth>, RetentionError> {
        let mut connection = self.pool.sessions().acquire().await?;
        // A connection with an abandoned transaction must not return to the pool.
        connection.close_on_drop();
        while with_timeout(MONTH_TIMEOUT, self.make_month(&mut connection)).await? {}
        let mut gone = Vec::new();
        for model in MODELS {
            let Some(kept) = self.config.of(model.name) else { continue };
            let before = self.clock.now().plus_seconds(-i64::try_from(kept.as_secs()).unwrap_or(i64::MAX));
            for month in old_months(&mut connection, model.name, before).await? {
                gone.extend(with_timeout(MONTH_TIMEOUT, forget(&mut connection, model, month)).await?);
            }
        }
        Ok(gone)
    }

    /// `false`: none is missing.
    async fn make_month(&self, connection: &mut PgConnection) -> Result<bool, RetentionError> {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(LOCK_PATIENCE).execute(&mut *transaction).await?;
        let made: Option<DateTime<Utc>> = sqlx::query_scalar("SELECT convoke.rm_ensure_month($1)")
            .bind(self.clock.now().plus_seconds(AHEAD_S).utc())
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(made.is_some())
    }
}

struct OldMonth {
    month: Timestamp,
    from_room: Uuid,
    to_room: Uuid,
}

/// Months that ended before a time, are a model's still, and have no room that has not ended.
async fn old_months(
    connection: &mut PgConnection,
    model: &str,
    before: Timestamp,
) -> Result<Vec<OldMonth>, RetentionError> {
    let rows = sqlx::query(
        "SELECT
            m.month,
            convoke.room_id_from(m.month) AS from_room,
            convoke.room_id_from(convoke.month_after(m.month)) AS to_room
         FROM convoke.rm_months m
         WHERE convoke.month_after(m.month) <= $2
             AND NOT EXISTS (SELECT 1 FROM convoke.rm_forgotten f WHERE f.model = $1 AND f.month = m.month)
             AND NOT EXISTS (SELECT 1 FROM convoke.projection_rebuilds r WHERE r.name = $1)
             AND NOT EXISTS (SELECT 1 FROM convoke.rm_rooms r
                 WHERE r.room >= convoke.room_id_from(m.month)
                     AND r.room < convoke.room_id_from(convoke.month_after(m.month)) AND r.status <> 'ended')
         ORDER BY m.month",
    )
    .bind(model)
    .bind(before.utc())
    .fetch_all(connection)
    .await?;
    let month = |row: &sqlx::postgres::PgRow| {
        let month = Timestamp::new(row.try_get(0)?).ok_or_else(|| sqlx::Error::Decode("a month out of time".into()))?;
        Ok(OldMonth { month, from_room: row.try_get(1)?, to_room: row.try_get(2)? })
    };
    rows.iter().map(month).collect()
}

/// In one transaction, under the model's checkpoint: its worker writes nothing meanwhile, and begins anew.
async fn forget(
    connection: &mut PgConnection,
    model: &ModelInfo,
    month: OldMonth,
) -> Result<Option<DroppedMonth>, RetentionError> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(LOCK_PATIENCE).execute(&mut *transaction).await?;
    sqlx::query("SELECT FROM convoke.projections WHERE name = $1 FOR UPDATE")
        .bind(model.name)
        .execute(&mut *transaction)
        .await?;
    let live = checkpoint::find(&mut transaction, model.name).await?;
    if live.shape != i32::from(model.shape) {
        // Rows of another program are that program's to let go of.
        return Ok(None);
    }
    let (rows, going) = count(&mut transaction, model, &month).await?;
    let mut digest = live.digest;
    digest.subtract(going);
    sqlx::query("SELECT convoke.rm_forget($1, $2, $3, $4)")
        .bind(model.name)
        .bind(model.table_names())
        .bind(month.month.utc())
        .bind(digest.to_bytes().as_slice())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Some(DroppedMonth { model: model.name, month: month.month, rows }))
}

/// The rows that go, and what they add up to.
async fn count(
    connection: &mut PgConnection,
    model: &ModelInfo,
    month: &OldMonth,
) -> Result<(u64, Digest), RetentionError> {
    let (mut rows, mut sum) = (0, Digest::default());
    for table in model.tables {
        // Ids only: nothing in them can be mistaken for SQL.
        let statement = format!(
            "COPY (SELECT {} FROM convoke.{} WHERE room >= '{}' AND room < '{}') TO STDOUT WITH (FORMAT binary)",
            table.list(""),
            table.name,
            month.from_room,
            month.to_room,
        );
        let mut stream = connection.copy_out_raw(&statement).await?;
        let mut splitter = CopySplitter::default();
        while let Some(message) = stream.next().await {
            splitter.feed(message?, |row| {
                rows += 1;
                sum.add(Digest::of_row(table.name, row));
            })?;
        }
        splitter.finish()?;
    }
    Ok((rows, sum))
}

/// A query, a rebuild or a vacuum stands in the way.
fn is_in_use(error: &RetentionError) -> bool {
    let RetentionError::Database(error) = error else { return false };
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03" || code == "55006")
}
