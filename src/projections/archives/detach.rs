//! Detaches a partition from the log. `DETACH … CONCURRENTLY` waits for transactions that use the partition, while appends and
//! reads continue.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use super::{ArchivingError, catalogue};

/// PostgreSQL's code for a lack of rights.
const NO_RIGHT: &str = "42501";

/// How a partition stands to the log.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PartitionState {
    Part,
    /// An earlier attempt was cut off half-way: no new statement sees it.
    Leaving,
    Apart,
}

/// Ends with the partition apart from the log, or where it was when told to stop.
pub async fn detach(owner: &PgPool, partition: &str, stop: &CancellationToken) -> Result<(), ArchivingError> {
    let mut connection = owner.acquire().await?;
    // Attaching at the same time deadlocks: those who make partitions take this lock too. It ends with the connection.
    connection.close_on_drop();
    sqlx::query("SELECT pg_advisory_lock(hashtext('convoke.ensure_partitions'))").execute(&mut *connection).await?;
    let how = match partition_state(&mut connection, partition).await? {
        PartitionState::Part => "CONCURRENTLY",
        PartitionState::Leaving => "FINALIZE",
        PartitionState::Apart => return Ok(()),
    };
    // The name is the catalogue's, made by the program from a time; quoted all the same.
    let statement = format!("ALTER TABLE convoke.log DETACH PARTITION convoke.{} {how}", quoted(partition));
    let worker: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *connection).await?;
    let mut detaching = std::pin::pin!(sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection));
    let ended = tokio::select! {
        done = &mut detaching => done,
        () = stop.cancelled() => {
            // What it waits for may take long. Cut off half-way, it is finished by the next run.
            sqlx::query("SELECT pg_cancel_backend($1)").bind(worker).execute(owner).await?;
            detaching.await
        }
    };
    match ended {
        Ok(_) => Ok(()),
        Err(_) if stop.is_cancelled() => Err(ArchivingError::Interrupted),
        Err(error) => Err(explained(owner, error)),
    }
}

/// Why a partition leaves the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It lies in an archive.
    Archived,
    /// It never held an event.
    Empty,
}

/// What is no part of the log any more is dropped, and the catalogue says so in the same transaction. What is not there is dropped already.
pub async fn drop_detached(owner: &PgPool, partition: &str, leaving: DropReason) -> Result<(), ArchivingError> {
    let mut transaction = owner.begin().await?;
    if partition_state(&mut transaction, partition).await? == PartitionState::Apart {
        let statement = format!("DROP TABLE IF EXISTS convoke.{}", quoted(partition));
        let dropped = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await;
        dropped.map_err(|error| explained(owner, error))?;
        match leaving {
            DropReason::Archived => catalogue::dropped(&mut transaction, partition).await?,
            DropReason::Empty => catalogue::forget_empty(&mut transaction, partition).await?,
        }
    }
    Ok(transaction.commit().await?)
}

async fn partition_state(connection: &mut PgConnection, partition: &str) -> Result<PartitionState, ArchivingError> {
    let pending: Option<bool> = sqlx::query_scalar(
        "SELECT i.inhdetachpending
         FROM pg_inherits i
         WHERE i.inhparent = 'convoke.log'::regclass AND i.inhrelid = to_regclass(format('convoke.%I', $1))",
    )
    .bind(partition)
    .fetch_optional(connection)
    .await?;
    Ok(match pending {
        Some(false) => PartitionState::Part,
        Some(true) => PartitionState::Leaving,
        None => PartitionState::Apart,
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn explained(owner: &PgPool, error: sqlx::Error) -> ArchivingError {
    match error.as_database_error() {
        Some(refused) if refused.code().is_some_and(|code| code == NO_RIGHT) => ArchivingError::NotOwner {
            role: owner.connect_options().get_username().to_owned(),
            cause: refused.message().to_owned(),
        },
        _ => error.into(),
    }
}
