//! A log filled with the made-up history: partition by partition, as a server may that keeps no WAL of tables made in the same
//! transaction; their indexes are made while the next one is filled.

use std::time::Duration;

use chrono::{DateTime, Utc};
use convoke::cli::progress::WorkProgress;
use convoke::projections::rows::{COPY_HEADER, COPY_TRAILER, Tuples};
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolCopyExt as _;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, Postgres as Database};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::rows::{self, COLUMNS, HEAD_COLUMNS, Part};
use crate::fixture::{Failure, Postgres};

/// Without WAL for what a transaction makes and fills. The log is measured on a server with the program's own settings.
pub const SETTINGS: [&str; 3] = ["wal_level=minimal", "max_wal_senders=0", "max_parallel_maintenance_workers=1"];

const MONTHS: u32 = 24;
/// Parts that wait to be written.
const WAITING: usize = 4;

#[derive(sqlx::FromRow)]
struct Partition {
    name: String,
    to_time: DateTime<Utc>,
}

/// Fills an empty log with so many events of the last 24 months.
pub async fn fill(postgres: &Postgres, events: u64) -> Result<(), Failure> {
    let owner = postgres.owner().await?;
    let now = Utc::now();
    let from = now - chrono::Months::new(MONTHS);
    let ensure = "SELECT convoke.ensure_partitions('month', $1, $2 + interval '1 month')";
    sqlx::query(ensure).bind(from).bind(now).execute(&owner).await?;
    let partitions: Vec<Partition> =
        sqlx::query_as("SELECT name, to_time FROM convoke.log_partitions ORDER BY from_time").fetch_all(&owner).await?;
    let ends: Vec<DateTime<Utc>> = partitions.iter().map(|partition| partition.to_time).collect();
    let (sender, parts) = mpsc::channel(WAITING);
    // What is appended later is recorded later.
    let until = now - Duration::from_secs(60);
    let telling = std::thread::spawn(move || rows::tell(events, from, until, &ends, &sender));
    let filled = take(&owner, &partitions, parts, events).await;
    telling.join().map_err(|_| "the history could not be told")??;
    let (last, heads) = filled?;
    write_heads(&owner, &heads).await?;
    if last != events {
        return Err(format!("{last} of {events} events were told").into());
    }
    owner.execute(FINISH).await?;
    owner.execute("VACUUM ANALYZE convoke.log, convoke.room_heads").await?;
    owner.close().await;
    Ok(())
}

/// What the appends would have left behind.
const FINISH: &str = "
    UPDATE convoke.log_head h
    SET position = l.position, recorded_at = l.recorded_at,
        partition_to = (SELECT max(p.to_time) FROM convoke.log_partitions p WHERE p.first_position IS NOT NULL)
    FROM (SELECT position, recorded_at FROM convoke.log
        WHERE recorded_at >= (SELECT max(p.from_time) FROM convoke.log_partitions p WHERE p.first_position IS NOT NULL)
        ORDER BY position DESC LIMIT 1) l;
";

/// Writes the parts; returns the last position, and the heads of the rooms.
async fn take(
    owner: &PgPool,
    partitions: &[Partition],
    mut parts: mpsc::Receiver<Part>,
    events: u64,
) -> Result<(u64, Vec<Tuples>), Failure> {
    let mut progress = WorkProgress::new(format!("filling {events}"), "events", Some(events));
    let (mut last, mut heads) = (0, Vec::new());
    let mut indexing: Option<JoinHandle<Result<(), Failure>>> = None;
    let mut next = parts.recv().await;
    while let Some(part) = next.take() {
        let partition = &partitions[part.partition];
        let mut connection = begin(owner, &partition.name).await?;
        let first = last + 1;
        let number = part.partition;
        let statement = format!("COPY convoke.{} ({COLUMNS}) FROM STDIN WITH (FORMAT binary, FREEZE)", partition.name);
        let mut copy = connection.copy_in_raw(&statement).await?;
        copy.send(COPY_HEADER).await?;
        let mut part = part;
        loop {
            copy.send(part.rows.bytes()).await?;
            last = part.last;
            heads.push(part.heads);
            progress.set(last);
            match parts.recv().await {
                Some(more) if more.partition == number => part = more,
                other => {
                    next = other;
                    break;
                }
            }
        }
        copy.send(COPY_TRAILER).await?;
        copy.finish().await?;
        if let Some(indexing) = indexing.take() {
            indexing.await??;
        }
        indexing = Some(tokio::spawn(finish(connection, partition.name.clone(), first)));
    }
    if let Some(indexing) = indexing {
        indexing.await??;
    }
    progress.finish();
    Ok((last, heads))
}

/// An empty table of this transaction.
async fn begin(owner: &PgPool, partition: &str) -> Result<PoolConnection<Database>, Failure> {
    let mut connection = owner.acquire().await?;
    let statements = format!(
        "BEGIN;
         SET LOCAL session_replication_role = replica;
         SET LOCAL maintenance_work_mem = '1GB';
         DROP INDEX convoke.{partition}_position, convoke.{partition}_room;
         TRUNCATE convoke.{partition};"
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await?;
    Ok(connection)
}

/// The indexes, as `convoke.make_partition` makes them.
async fn finish(mut connection: PoolConnection<Database>, partition: String, first: u64) -> Result<(), Failure> {
    let statements = format!(
        "CREATE UNIQUE INDEX {partition}_position ON convoke.{partition} (position);
         CREATE UNIQUE INDEX {partition}_room ON convoke.{partition} (room, tenant, room_version);
         UPDATE convoke.log_partitions SET first_position = {first} WHERE name = '{partition}';
         COMMIT;"
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await?;
    Ok(())
}

async fn write_heads(owner: &PgPool, heads: &[Tuples]) -> Result<(), Failure> {
    let statement = format!("COPY convoke.room_heads ({HEAD_COLUMNS}) FROM STDIN WITH (FORMAT binary)");
    let mut copy = owner.copy_in_raw(&statement).await?;
    copy.send(COPY_HEADER).await?;
    for part in heads {
        copy.send(part.bytes()).await?;
    }
    copy.send(COPY_TRAILER).await?;
    copy.finish().await?;
    Ok(())
}
