//! The bare program: rows that are there already, into a table like the log.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::{Executor as _, PgPool, Row};
use uuid::Uuid;

use crate::fixture::Failure;

/// Of one transaction.
pub const ROWS: i64 = 1_000;

/// The table, with a partition for each that holds events, and the same indexes.
pub async fn prepare(owner: &PgPool) -> Result<(), Failure> {
    owner
        .execute(sqlx::raw_sql(
            "DROP SCHEMA IF EXISTS peer CASCADE;
             CREATE SCHEMA peer;
             CREATE TABLE peer.log (LIKE convoke.log INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)
                 PARTITION BY RANGE (recorded_at);
             DO $$
             DECLARE
                 part convoke.log_partitions;
             BEGIN
                 FOR part IN SELECT * FROM convoke.log_partitions LOOP
                     EXECUTE format('CREATE TABLE peer.%I PARTITION OF peer.log FOR VALUES FROM (%L) TO (%L)',
                         part.name, part.from_time, part.to_time);
                     EXECUTE format('CREATE UNIQUE INDEX ON peer.%I (position)', part.name);
                     EXECUTE format('CREATE UNIQUE INDEX ON peer.%I (room, tenant, room_version)', part.name);
                 END LOOP;
             END
             $$;",
        ))
        .await?;
    Ok(())
}

/// A column each.
#[derive(Default)]
struct Rows {
    position: Vec<i64>,
    room_version: Vec<i64>,
    recorded_at: Vec<DateTime<Utc>>,
    occurred_at: Vec<Option<DateTime<Utc>>>,
    room: Vec<Uuid>,
    command_id: Vec<Uuid>,
    session: Vec<Option<Uuid>>,
    type_version: Vec<i16>,
    tenant: Vec<String>,
    event_type: Vec<String>,
    actor: Vec<String>,
    data: Vec<String>,
    sealed: Vec<Option<Vec<u8>>>,
    hash: Vec<Vec<u8>>,
}

const READ: &str =
    "SELECT position, room_version, recorded_at, occurred_at, room, command_id, session, type_version, tenant,
        event_type, actor, data::text, sealed, hash
     FROM convoke.log
     WHERE position > $1 AND position <= $1 + $2
     ORDER BY position";

const INSERT: &str = "INSERT INTO peer.log (position, room_version, recorded_at, occurred_at, room, command_id, session,
        type_version, tenant, event_type, actor, data, sealed, hash)
     SELECT position, room_version, recorded_at, occurred_at, room, command_id, session, type_version, tenant, event_type,
        actor, data::json, sealed, hash
     FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::uuid[], $6::uuid[], $7::uuid[],
            $8::smallint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::bytea[])
        AS e (position, room_version, recorded_at, occurred_at, room, command_id, session, type_version, tenant, event_type,
            actor, data, sealed, hash)";

/// Inserts all rows of the log; returns the time that the inserts took, without the reading, and how many rows there were.
pub async fn insert_all(owner: &PgPool) -> Result<(Duration, u64), Failure> {
    let (mut took, mut after) = (Duration::ZERO, 0);
    loop {
        let rows = read(owner, after).await?;
        let Some(last) = rows.position.last() else { return Ok((took, u64::try_from(after)?)) };
        after = *last;
        let began = Instant::now();
        insert(owner, &rows).await?;
        took += began.elapsed();
    }
}

async fn read(owner: &PgPool, after: i64) -> Result<Rows, Failure> {
    let mut rows = Rows::default();
    for row in sqlx::query(READ).bind(after).bind(ROWS).fetch_all(owner).await? {
        rows.position.push(row.try_get(0)?);
        rows.room_version.push(row.try_get(1)?);
        rows.recorded_at.push(row.try_get(2)?);
        rows.occurred_at.push(row.try_get(3)?);
        rows.room.push(row.try_get(4)?);
        rows.command_id.push(row.try_get(5)?);
        rows.session.push(row.try_get(6)?);
        rows.type_version.push(row.try_get(7)?);
        rows.tenant.push(row.try_get(8)?);
        rows.event_type.push(row.try_get(9)?);
        rows.actor.push(row.try_get(10)?);
        rows.data.push(row.try_get(11)?);
        rows.sealed.push(row.try_get(12)?);
        rows.hash.push(row.try_get(13)?);
    }
    Ok(rows)
}

async fn insert(owner: &PgPool, rows: &Rows) -> Result<(), Failure> {
    sqlx::query(INSERT)
        .bind(&rows.position)
        .bind(&rows.room_version)
        .bind(&rows.recorded_at)
        .bind(&rows.occurred_at)
        .bind(&rows.room)
        .bind(&rows.command_id)
        .bind(&rows.session)
        .bind(&rows.type_version)
        .bind(&rows.tenant)
        .bind(&rows.event_type)
        .bind(&rows.actor)
        .bind(&rows.data)
        .bind(&rows.sealed)
        .bind(&rows.hash)
        .execute(owner)
        .await?;
    Ok(())
}
