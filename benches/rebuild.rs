//! A rebuild of all read models, beside the rate at which `psql` reads the log out by binary `COPY` and throws it away.

use std::process::Stdio;
use std::time::{Duration, Instant};

use sqlx::Executor as _;
use tokio::process::Command;

use crate::ground::{Failure, Postgres, Promise, machine, median, tell};

const ROUNDS: usize = 3;
const EVENTS: u32 = 2_000_000;
const ROOMS: u32 = 200;
/// Stays that are open at a time in each room.
const PRESENT: u32 = 31;

/// Of the rate of `COPY`.
const TO_COPY: f64 = 0.333;

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let postgres = Postgres::fresh("rebuild").await?;
    let measured = measure(&postgres).await;
    postgres.stop().await;
    let rounds = measured?;
    let copy = median(rounds.iter().map(|round| rate(round.copy)).collect());
    let rebuild = median(rounds.iter().map(|round| rate(round.rebuild)).collect());
    let promises =
        vec![Promise::at_least("events/s of a rebuild, to `COPY … TO` binary of the log", rebuild / copy, TO_COPY)];
    let text = format!(
        "## Rebuild of all read models\n\n{}. {EVENTS} events in {ROOMS} rooms (a third joins, a third leaves, a third \
         messages) over 24 monthly partitions. `convoke projection rebuild`, from its start to its end, with indexes, the \
         comparison with the live rows and the swap; the middle of {ROUNDS} runs.\n\n| | events/s |\n|---|---|\n\
         | `COPY (SELECT * FROM convoke.log) TO STDOUT` binary, by `psql` to nowhere | {copy:.0} |\n\
         | `convoke projection rebuild` | {rebuild:.0} |",
        machine(),
    );
    tell("rebuild", &text, &promises)?;
    Ok(promises)
}

struct Round {
    copy: Duration,
    rebuild: Duration,
}

fn rate(took: Duration) -> f64 {
    f64::from(EVENTS) / took.as_secs_f64()
}

async fn measure(postgres: &Postgres) -> Result<Vec<Round>, Failure> {
    fill(postgres).await?;
    // The first one makes the live rows that the others are compared with.
    rebuild(postgres).await?;
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        rounds.push(Round { copy: copy(postgres).await?, rebuild: rebuild(postgres).await? });
    }
    Ok(rounds)
}

async fn copy(postgres: &Postgres) -> Result<Duration, Failure> {
    let mut command = Command::new(postgres.programs.join("psql"));
    command.arg(postgres.url());
    command.args(["--command", "COPY (SELECT * FROM convoke.log) TO STDOUT WITH (FORMAT binary)"]);
    time(command).await
}

async fn rebuild(postgres: &Postgres) -> Result<Duration, Failure> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
    command.args(["projection", "rebuild"]).env("DATABASE_URL", postgres.url()).current_dir(&postgres.folder);
    time(command).await
}

async fn time(mut command: Command) -> Result<Duration, Failure> {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output().await?;
    let took = began.elapsed();
    if output.status.success() { Ok(took) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned().into()) }
}

/// A log as two years of use leave it, written behind the program's back: its hashes are not chained.
async fn fill(postgres: &Postgres) -> Result<(), Failure> {
    let owner = postgres.owner().await?;
    owner
        .execute("SELECT convoke.ensure_partitions('month', now() - interval '25 months', now() + interval '1 month')")
        .await?;
    let mut connection = owner.acquire().await?;
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(filling()))).await?;
    connection.execute("VACUUM ANALYZE convoke.log").await?;
    Ok(())
}

/// The k-th event of a room: it is created; then by threes somebody joins, somebody writes, and somebody who joined
/// [`PRESENT`] joins ago leaves.
fn filling() -> String {
    let back = 3 * PRESENT - 1;
    format!(
        r#"
        SET session_replication_role = replica;
        CREATE FUNCTION pg_temp.id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN
            (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || lpad(to_hex(n & 4095), 3, '0') || '8'
                || lpad(to_hex(n), 15, '0'))::uuid;
        INSERT INTO convoke.log (position, room_version, recorded_at, room, command_id, type_version, tenant, event_type,
            actor, data, sealed, hash)
        SELECT n, k + 1, now() - interval '24 months' + (n::float8 / {EVENTS}) * interval '23 months',
            pg_temp.id(r), pg_temp.id(1000000 + n), 1, 'acme', t, 'key:bench',
            (CASE t
                WHEN 'room.created' THEN '{{"settings":{{}}}}'
                WHEN 'room.participant-joined' THEN
                    format('{{"identity":"p%s","session":"%s","role":"speaker"}}', k / 3 % 1000, pg_temp.id(1000000 + n))
                WHEN 'room.message-sent' THEN format('{{"author":"p%s","to":"everyone"}}', k / 3 % 1000)
                ELSE format('{{"identity":"p%s","session":"%s","reason":"left","seconds":5400}}', (k - {back}) / 3 % 1000,
                    pg_temp.id(1000000 + n - {back}::bigint * {ROOMS}))
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
            FROM (SELECT n, (n - 1) % {ROOMS} AS r, (n - 1) / {ROOMS} AS k FROM generate_series(1, {EVENTS}) n) numbered
        ) typed;
        UPDATE convoke.log_partitions p
        SET first_position = (SELECT min(l.position) FROM convoke.log l
            WHERE l.recorded_at >= p.from_time AND l.recorded_at < p.to_time);
        UPDATE convoke.log_head
        SET position = {EVENTS},
            recorded_at = (SELECT l.recorded_at FROM convoke.log l WHERE l.position = {EVENTS}),
            partition_to = (SELECT max(p.to_time) FROM convoke.log_partitions p WHERE p.first_position IS NOT NULL);
        "#
    )
}
