//! A log as two years of use leave it.

use sqlx::Executor as _;

use super::{Failure, Postgres};

/// Stays that are open at a time in each room.
const PRESENT: u32 = 31;

/// Fills an empty log, written behind the program's back: its hashes are not chained.
pub async fn fill(postgres: &Postgres, events: u32, rooms: u32) -> Result<(), Failure> {
    let owner = postgres.owner().await?;
    owner
        .execute("SELECT convoke.ensure_partitions('month', now() - interval '25 months', now() + interval '1 month')")
        .await?;
    let mut connection = owner.acquire().await?;
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(filling(events, rooms)))).await?;
    connection.execute("VACUUM ANALYZE convoke.log").await?;
    Ok(())
}

/// The k-th event of a room: it is created; then by threes somebody joins, somebody writes, and somebody who joined
/// [`PRESENT`] joins ago leaves.
fn filling(events: u32, rooms: u32) -> String {
    let back = 3 * PRESENT - 1;
    format!(
        r#"
        SET session_replication_role = replica;
        CREATE FUNCTION pg_temp.id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN
            (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || lpad(to_hex(n & 4095), 3, '0') || '8'
                || lpad(to_hex(n), 15, '0'))::uuid;
        INSERT INTO convoke.log (position, room_version, recorded_at, room, command_id, type_version, tenant, event_type,
            actor, data, sealed, hash)
        SELECT n, k + 1, now() - interval '24 months' + (n::float8 / {events}) * interval '23 months',
            pg_temp.id(r), pg_temp.id(1000000 + n), 1, 'acme', t, 'key:bench',
            (CASE t
                WHEN 'room.created' THEN '{{"settings":{{}}}}'
                WHEN 'room.participant-joined' THEN
                    format('{{"identity":"p%s","session":"%s","role":"speaker"}}', k / 3 % 1000, pg_temp.id(1000000 + n))
                WHEN 'room.message-sent' THEN format('{{"author":"p%s","to":"everyone"}}', k / 3 % 1000)
                ELSE format('{{"identity":"p%s","session":"%s","reason":"left","seconds":5400}}', (k - {back}) / 3 % 1000,
                    pg_temp.id(1000000 + n - {back}::bigint * {rooms}))
            END)::json,
            CASE WHEN t IN ('room.participant-joined', 'room.message-sent') THEN
                decode(repeat('ab', 80 + (n % 60)::int), 'hex')
            END,
            sha256(n::text::bytea)
        FROM (
            SELECT n, r, k, CASE
                WHEN k = 0 THEN 'room.created'
                WHEN k % 3 = 1 THEN 'room.participant-joined'
                WHEN k % 3 = 2 OR k <= {back} THEN 'room.message-sent'
                ELSE 'room.participant-left'
            END AS t
            FROM (SELECT n, (n - 1) % {rooms} AS r, (n - 1) / {rooms} AS k FROM generate_series(1, {events}) n) numbered
        ) typed;
        UPDATE convoke.log_partitions p
        SET first_position = (SELECT min(l.position) FROM convoke.log l
            WHERE l.recorded_at >= p.from_time AND l.recorded_at < p.to_time);
        UPDATE convoke.log_head
        SET position = {events},
            recorded_at = (SELECT l.recorded_at FROM convoke.log l WHERE l.position = {events}),
            partition_to = (SELECT max(p.to_time) FROM convoke.log_partitions p WHERE p.first_position IS NOT NULL);
        "#
    )
}
