//! The checkpoint of a read model: a row in `convoke.projections` that changes in the same transaction as the rows of the model.
//!
//! It changes by compare-and-set on position, generation, worker and the log's epoch. After another worker took over, the tables
//! were swapped, or a new epoch began, the compare-and-set fails and the transaction writes nothing.
//!
//! Every writer of a model's rows, and every swap of its tables, locks the checkpoint first.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::model::ModelInfo;
use super::rows::Digest;
use crate::events::time::Timestamp;
use crate::ids::Position;

/// Whether a model follows the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelStatus {
    Running,
    /// It could not go on; an operator decides.
    Stopped {
        error: String,
        failed_position: Option<Position>,
        at: Option<Timestamp>,
    },
}

/// A checkpoint as it lies in the database.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub name: String,
    /// Of the last event that its rows contain; 0: none.
    pub position: Position,
    /// Of that event.
    pub recorded_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    /// Which history of the log it was folded from.
    pub epoch: Uuid,
    /// Which shape its rows have.
    pub shape: i32,
    /// Counts the swaps of its tables.
    pub generation: i32,
    pub worker: Option<Uuid>,
    pub status: ModelStatus,
    /// Over all its rows.
    pub digest: Digest,
}

/// The columns that [`read`] takes, in its order.
macro_rules! columns {
    () => {
        "name, position, CASE WHEN position > 0 THEN recorded_at END AS recorded_at, updated_at, epoch, shape, generation, \
         worker, status, error, failed_position, stopped_at, digest"
    };
}

fn time(at: Option<DateTime<Utc>>) -> Option<Timestamp> {
    at.and_then(Timestamp::new)
}

/// Positions are bigint in the database and never negative.
pub(super) fn position(number: i64) -> Position {
    Position::try_from(number).unwrap_or(0)
}

pub(super) fn bigint(position: Position) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn read(row: &PgRow) -> sqlx::Result<Checkpoint> {
    let status: String = row.try_get("status")?;
    let status = match status.as_str() {
        "running" => ModelStatus::Running,
        _ => ModelStatus::Stopped {
            error: row.try_get::<Option<String>, _>("error")?.unwrap_or_default(),
            failed_position: row.try_get::<Option<i64>, _>("failed_position")?.map(position),
            at: time(row.try_get("stopped_at")?),
        },
    };
    Ok(Checkpoint {
        name: row.try_get("name")?,
        position: position(row.try_get("position")?),
        recorded_at: time(row.try_get("recorded_at")?),
        updated_at: time(row.try_get("updated_at")?),
        epoch: row.try_get("epoch")?,
        shape: row.try_get("shape")?,
        generation: row.try_get("generation")?,
        worker: row.try_get("worker")?,
        status,
        digest: Digest::from_bytes(row.try_get("digest")?)
            .ok_or_else(|| sqlx::Error::Decode("a digest is 32 bytes".into()))?,
    })
}

/// All checkpoints, by name.
pub async fn all(on: impl sqlx::PgExecutor<'_>) -> sqlx::Result<Vec<Checkpoint>> {
    let rows =
        sqlx::query(concat!("SELECT ", columns!(), " FROM convoke.projections ORDER BY name")).fetch_all(on).await?;
    rows.iter().map(read).collect()
}

/// A model's checkpoint, made at the beginning of the log if there is none.
pub async fn find_or_begin(connection: &mut PgConnection, model: &ModelInfo) -> sqlx::Result<Checkpoint> {
    sqlx::query(
        "INSERT INTO convoke.projections (name, shape, epoch)
         SELECT $1, $2, h.epoch FROM convoke.log_head h
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(model.name)
    .bind(i32::from(model.shape))
    .execute(&mut *connection)
    .await?;
    find(connection, model.name).await
}

/// A model's checkpoint, which must be there.
pub async fn find(connection: &mut PgConnection, name: &str) -> sqlx::Result<Checkpoint> {
    let statement = concat!("SELECT ", columns!(), " FROM convoke.projections WHERE name = $1");
    read(&sqlx::query(statement).bind(name).fetch_one(connection).await?)
}

impl Checkpoint {
    /// Makes `worker` the one that may move it. Where nothing was folded yet, the shape and the epoch are those of now.
    pub async fn claim(connection: &mut PgConnection, model: &ModelInfo, worker: Uuid) -> sqlx::Result<Self> {
        find_or_begin(connection, model).await?;
        let row = sqlx::query(concat!(
            "UPDATE convoke.projections
             SET worker = $2,
                 shape = CASE WHEN position = 0 THEN $3 ELSE shape END,
                 epoch = CASE WHEN position = 0 THEN (SELECT h.epoch FROM convoke.log_head h) ELSE epoch END
             WHERE name = $1
             RETURNING ",
            columns!()
        ))
        .bind(model.name)
        .bind(worker)
        .bind(i32::from(model.shape))
        .fetch_one(connection)
        .await?;
        read(&row)
    }

    /// The statement that opens a transaction which will move it: its row is locked before any table is touched.
    pub fn begin_statement(&self) -> String {
        // Names of models are words of this program: nothing in them can end a quoted text.
        format!("BEGIN; SELECT FROM convoke.projections WHERE name = '{}' FOR UPDATE", self.name)
    }

    /// Moves it on, if it is still as this value says; `false`: it is not, and nothing must be committed.
    pub async fn advance(&mut self, connection: &mut PgConnection, to: &CheckpointStep) -> sqlx::Result<bool> {
        let moved = sqlx::query(
            "UPDATE convoke.projections
             SET position = $1,
                 recorded_at = $2,
                 digest = $3,
                 updated_at = clock_timestamp(),
                 status = 'running',
                 error = NULL,
                 failed_position = NULL,
                 stopped_at = NULL
             WHERE name = $4 AND position = $5 AND generation = $6 AND worker = $7
                 AND epoch = (SELECT h.epoch FROM convoke.log_head h)",
        )
        .bind(bigint(to.position))
        .bind(to.recorded_at.utc())
        .bind(to.digest.to_bytes().as_slice())
        .bind(&self.name)
        .bind(bigint(self.position))
        .bind(self.generation)
        .bind(self.worker)
        .execute(connection)
        .await?
        .rows_affected();
        Ok(moved == 1)
    }

    /// What it is once a step was committed.
    pub fn stepped(&mut self, to: &CheckpointStep) {
        self.position = to.position;
        self.recorded_at = Some(to.recorded_at);
        self.digest = to.digest;
        self.status = ModelStatus::Running;
    }

    /// Says for all to see that the model does not go on; `false`: it is another's by now.
    pub async fn stop(&self, connection: &mut PgConnection, fault: &ProjectionFault) -> sqlx::Result<bool> {
        let stopped = sqlx::query(
            "UPDATE convoke.projections
             SET status = 'stopped',
                 error = $1,
                 failed_position = $2,
                 stopped_at = clock_timestamp()
             WHERE name = $3 AND generation = $4 AND worker = $5",
        )
        .bind(&fault.error)
        .bind(fault.position.map(bigint))
        .bind(&self.name)
        .bind(self.generation)
        .bind(self.worker)
        .execute(connection)
        .await?
        .rows_affected();
        Ok(stopped == 1)
    }
}

/// Why a model cannot go on.
#[derive(Clone, Debug)]
pub struct ProjectionFault {
    /// The event that cannot be applied, if it is one event.
    pub position: Option<Position>,
    pub error: String,
}

/// Where a checkpoint moves to.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointStep {
    pub position: Position,
    pub recorded_at: Timestamp,
    pub digest: Digest,
}
