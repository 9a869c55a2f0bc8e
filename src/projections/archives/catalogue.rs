//! The catalogue of archives, `convoke.log_archives`, as an archive run writes it.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::copy::CopiedFiles;
use super::{ArchivingError, MovedPartition, PartitionMove};
use crate::events::archive::ArchiveReader;

/// What a partition's files are called.
pub struct ArchiveFileNames {
    pub events: String,
    pub rooms: String,
}

impl ArchiveFileNames {
    /// A name is given once: a copy of the database that was restored beside this one never takes another's file for its own.
    fn of(moving: &PartitionMove) -> Self {
        let once = Uuid::new_v4().simple().to_string();
        let name = format!("{}.{}", moving.partition, &once[..8]);
        Self { events: format!("{name}.events.parquet"), rooms: format!("{name}.rooms.parquet") }
    }
}

/// Files that an earlier run began for a partition and did not prove.
pub async fn leftovers(owner: &PgPool, partition: &str) -> Result<Vec<String>, ArchivingError> {
    let found: Option<(String, String)> = sqlx::query_as(
        "SELECT events_file, rooms_file FROM convoke.log_archives WHERE partition = $1 AND kept_at IS NULL",
    )
    .bind(partition)
    .fetch_optional(owner)
    .await?;
    Ok(found.into_iter().flat_map(|(events, rooms)| [events, rooms]).collect())
}

/// Before a file is begun, its name is known.
pub async fn begin(owner: &PgPool, moving: &PartitionMove) -> Result<ArchiveFileNames, ArchivingError> {
    let names = ArchiveFileNames::of(moving);
    sqlx::query(
        "INSERT INTO convoke.log_archives (partition, first_position, last_position, table_size, events_file, rooms_file)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (partition) DO UPDATE
         SET events_file = excluded.events_file, rooms_file = excluded.rooms_file, begun_at = clock_timestamp()
         WHERE log_archives.kept_at IS NULL",
    )
    .bind(&moving.partition)
    .bind(moving.first_position.cast_signed())
    .bind(moving.last_position.cast_signed())
    .bind(moving.bytes.cast_signed())
    .bind(&names.events)
    .bind(&names.rooms)
    .execute(owner)
    .await?;
    Ok(names)
}

/// From now on readers go to the files.
pub async fn keep(owner: &PgPool, moving: &PartitionMove, copied: &CopiedFiles) -> Result<(), ArchivingError> {
    sqlx::query(
        "UPDATE convoke.log_archives
         SET events_size = $2,
             events_footer_at = $3,
             events_footer = $4,
             rooms_size = $5,
             rooms_footer_at = $6,
             rooms_footer = $7,
             digest = $8,
             kept_at = clock_timestamp()
         WHERE partition = $1 AND kept_at IS NULL",
    )
    .bind(&moving.partition)
    .bind(copied.events.size.cast_signed())
    .bind(copied.events.footer_at.cast_signed())
    .bind(copied.events.footer.as_slice())
    .bind(copied.rooms.size.cast_signed())
    .bind(copied.rooms.footer_at.cast_signed())
    .bind(copied.rooms.footer.as_slice())
    .bind(copied.digest.as_slice())
    .execute(owner)
    .await?;
    Ok(())
}

/// `None`: not proven yet.
pub async fn kept(
    owner: &PgPool,
    archive: &ArchiveReader,
    partition: &str,
) -> Result<Option<MovedPartition>, ArchivingError> {
    let found: Option<(i64, i64, i64, i64, String)> = sqlx::query_as(
        "SELECT first_position, last_position, coalesce(table_size, 0), events_size + rooms_size, events_file
         FROM convoke.log_archives
         WHERE partition = $1 AND kept_at IS NOT NULL",
    )
    .bind(partition)
    .fetch_optional(owner)
    .await?;
    Ok(found.map(|(first, last, before, bytes, file)| MovedPartition {
        partition: partition.to_owned(),
        first_position: first.cast_unsigned(),
        last_position: last.cast_unsigned(),
        events: (last - first + 1).cast_unsigned(),
        bytes_before: before.cast_unsigned(),
        bytes: bytes.cast_unsigned(),
        file: archive.store().shown(&file),
    }))
}

/// In the transaction that drops it.
pub async fn dropped(connection: &mut PgConnection, partition: &str) -> Result<(), ArchivingError> {
    sqlx::query(
        "UPDATE convoke.log_archives SET dropped_at = clock_timestamp() WHERE partition = $1 AND dropped_at IS NULL",
    )
    .bind(partition)
    .execute(connection)
    .await?;
    Ok(())
}

/// Partitions that are kept and no longer part of the log, and whose leaving was not noted.
pub async fn half_dropped(owner: &PgPool) -> Result<Vec<String>, ArchivingError> {
    let found = sqlx::query_scalar(
        "SELECT a.partition
         FROM convoke.log_archives a
         WHERE a.kept_at IS NOT NULL AND a.dropped_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM pg_inherits i
                 WHERE i.inhparent = 'convoke.log'::regclass AND i.inhrelid = to_regclass(format('convoke.%I', a.partition)))
         ORDER BY a.first_position",
    )
    .fetch_all(owner)
    .await?;
    Ok(found)
}

/// An empty partition is gone: nothing will look for it. In the transaction that drops it.
pub async fn forget_empty(connection: &mut PgConnection, partition: &str) -> Result<(), ArchivingError> {
    sqlx::query("DELETE FROM convoke.log_partitions WHERE name = $1 AND first_position IS NULL")
        .bind(partition)
        .execute(connection)
        .await?;
    Ok(())
}
