//! Reads the log in bulk: binary COPY, partition by partition, in chunks. Another thread decodes a chunk while the next one
//! arrives. The scan reads only the columns that folds need.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::RebuildError;
use crate::events::envelope::UnreadableEvent;
use crate::events::feed::EventFeed;
use crate::events::room::RoomEvent;
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomId, TenantId};
use crate::projections::checkpoint::{ProjectionFault, bigint, position};
use crate::projections::decoded_event::DecodedEvent;
use crate::projections::rows::{BadField, CopySplitter, Field, RowFields, Tuple, Tuples};

/// In the order in which [`decode`] takes them.
const COLUMNS: &str = "position, recorded_at, occurred_at, tenant, room, room_version, event_type, type_version::bigint, \
                       data, sealed";

/// Chunks that wait for the next stage; with those in work, about ten are in memory at a time.
const WAITING_CHUNKS: usize = 2;

/// Events one after another.
pub struct EventChunk {
    pub entries: Vec<DecodedEvent>,
    /// What comes right after them and cannot be read: the last chunk then.
    pub fault: Option<ProjectionFault>,
}

/// Reads what lies after `after` up to `through` into chunks of `size` events. Ends early when told to stop or when nobody
/// takes the chunks.
pub async fn scan(
    connection: &mut PgConnection,
    after: Position,
    through: Position,
    size: usize,
    chunks: mpsc::Sender<EventChunk>,
    stop: &CancellationToken,
) -> Result<(), RebuildError> {
    let (raw, received) = mpsc::channel(WAITING_CHUNKS);
    let decoding = tokio::spawn(decode_all(received, chunks));
    let read = copy(connection, after, through, size, raw, stop).await;
    if let Err(error) = decoding.await
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
    read
}

/// The same of a feed, which gives whole events.
pub async fn follow(
    mut feed: Box<dyn EventFeed>,
    through: Position,
    size: usize,
    chunks: mpsc::Sender<EventChunk>,
    stop: &CancellationToken,
) -> Result<(), RebuildError> {
    let mut entries = Vec::new();
    let mut at = 0;
    while at < through {
        let Some(page) = stop.run_until_cancelled(feed.next()).await else { return Ok(()) };
        for event in page?.iter().take_while(|event| event.position <= through) {
            at = event.position;
            match DecodedEvent::of(event) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    let fault = ProjectionFault { position: Some(error.position), error: error.to_string() };
                    // Nobody may be left to be told.
                    let _ = chunks.send(EventChunk { entries, fault: Some(fault) }).await;
                    return Ok(());
                }
            }
        }
        if entries.len() >= size || at >= through {
            let chunk = EventChunk { entries: std::mem::take(&mut entries), fault: None };
            if chunks.send(chunk).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn copy(
    connection: &mut PgConnection,
    after: Position,
    through: Position,
    size: usize,
    raw: mpsc::Sender<Tuples>,
    stop: &CancellationToken,
) -> Result<(), RebuildError> {
    for part in parts(connection, after, through).await? {
        // Times and numbers only: nothing in them can be mistaken for SQL.
        let statement = format!(
            "COPY (SELECT {COLUMNS} FROM convoke.log
                   WHERE recorded_at >= '{}' AND recorded_at < '{}' AND position > {} AND position <= {}
                   ORDER BY position)
             TO STDOUT WITH (FORMAT binary)",
            part.from.to_rfc3339(),
            part.to.to_rfc3339(),
            bigint(part.after),
            bigint(part.through),
        );
        let mut stream = connection.copy_out_raw(&statement).await?;
        let mut splitter = CopySplitter::default();
        let mut rows = Tuples::default();
        let mut received: u64 = 0;
        while let Some(message) = stream.next().await {
            splitter.feed(message?, |row| rows.append(row))?;
            if rows.len() >= size {
                received += rows.len() as u64;
                let next = rows.another();
                if stop.is_cancelled() || raw.send(std::mem::replace(&mut rows, next)).await.is_err() {
                    return Ok(());
                }
            }
        }
        splitter.finish()?;
        received += rows.len() as u64;
        if received != part.through - part.after {
            return Err(RebuildError::Gap { after: part.after, through: part.through, found: received });
        }
        if !rows.is_empty() && raw.send(rows).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// What of a partition is to be read.
struct PartitionPart {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    after: Position,
    through: Position,
}

async fn parts(connection: &mut PgConnection, after: Position, through: Position) -> sqlx::Result<Vec<PartitionPart>> {
    let partitions: Vec<(i64, DateTime<Utc>, DateTime<Utc>)> = sqlx::query_as(
        "SELECT first_position, from_time, to_time
         FROM convoke.log_partitions
         WHERE first_position IS NOT NULL
         ORDER BY first_position",
    )
    .fetch_all(connection)
    .await?;
    let ends = partitions.iter().skip(1).map(|(first, ..)| position(*first) - 1).chain([Position::MAX]);
    let parts = partitions.iter().zip(ends).map(|(&(first, from, to), end)| PartitionPart {
        from,
        to,
        after: after.max(position(first) - 1),
        through: through.min(end),
    });
    Ok(parts.filter(|part| part.after < part.through).collect())
}

async fn decode_all(mut raw: mpsc::Receiver<Tuples>, chunks: mpsc::Sender<EventChunk>) {
    while let Some(rows) = raw.recv().await {
        let chunk = match tokio::task::spawn_blocking(move || decode_chunk(&rows)).await {
            Ok(chunk) => chunk,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        };
        let last = chunk.fault.is_some();
        if chunks.send(chunk).await.is_err() || last {
            return;
        }
    }
}

fn decode_chunk(rows: &Tuples) -> EventChunk {
    let mut tenants = HashMap::new();
    let mut entries = Vec::with_capacity(rows.len());
    for row in rows.iter() {
        match decode(row, &mut tenants) {
            Ok(entry) => entries.push(entry),
            Err((position, error)) => return EventChunk { entries, fault: Some(ProjectionFault { position, error }) },
        }
    }
    EventChunk { entries, fault: None }
}

/// What is at fault, and where if that much could be read.
fn decode(
    mut fields: Tuple<'_>,
    tenants: &mut HashMap<Box<[u8]>, TenantId>,
) -> Result<DecodedEvent, (Option<Position>, String)> {
    let at = Position::get(fields.next().flatten()).map_err(|error| (None, error.to_string()))?;
    read(at, fields, tenants).map_err(|error| (Some(at), error))
}

fn read(at: Position, fields: Tuple<'_>, tenants: &mut HashMap<Box<[u8]>, TenantId>) -> Result<DecodedEvent, String> {
    let bad = |error: BadField| error.to_string();
    let mut fields = RowFields(fields);
    let recorded_at: Timestamp = fields.take().map_err(bad)?;
    let occurred_at: Option<Timestamp> = fields.take().map_err(bad)?;
    let tenant = fields.bytes().unwrap_or_default();
    let tenant = match tenants.get(tenant) {
        Some(known) => known.clone(),
        None => {
            let new = TenantId::get(Some(tenant)).map_err(bad)?;
            tenants.insert(tenant.into(), new.clone());
            new
        }
    };
    let room: RoomId = fields.take().map_err(bad)?;
    let room_version = fields.take().map_err(bad)?;
    let event_type = std::str::from_utf8(fields.bytes().unwrap_or_default()).map_err(|error| error.to_string())?;
    let type_version: u64 = fields.take().map_err(bad)?;
    let type_version = u16::try_from(type_version).map_err(|error| error.to_string())?;
    let data = std::str::from_utf8(fields.bytes().unwrap_or_default()).map_err(|error| error.to_string())?;
    let sealed: Option<Sealed> = fields.take().map_err(bad)?;
    let event = RoomEvent::decode(event_type, type_version, data).map_err(|reason| {
        UnreadableEvent { position: at, event_type: event_type.to_owned().into(), type_version, reason }.to_string()
    })?;
    Ok(DecodedEvent {
        position: at,
        recorded_at,
        happened_at: occurred_at.unwrap_or(recorded_at),
        tenant,
        room,
        room_version,
        event,
        sealed,
    })
}
