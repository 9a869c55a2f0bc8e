//! Commands beside reads of rooms that are not in memory: a load of a room takes nothing that commands need but the machine's time.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::json;
use uuid::Uuid;

use super::client::{Client, carry_out, line};
use super::storm::{Storm, Stormed};
use crate::fixture::{Failure, Postgres, Promise, Redis, Served, median};
use crate::load::{Load, Report, Until, Work, make_room};

const ROOMS: usize = 200;
const EVENTS: usize = 400;
/// Of the rooms' people, messages and hands, a third each, but for the event that makes the room.
const PEOPLE: usize = (EVENTS - 1) / 3;

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 3;
/// Of runs without and with the reads, in each round: the p99 of one run alone says little.
const PAIRS: usize = 4;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURE: Duration = Duration::from_secs(4);

/// So little that a room which is read has left memory before it is read again.
const MEMORY: &str = "128KiB";

/// What is promised: the p99 of commands, to that without the reads.
const STORM_TO_CALM: f64 = 1.3;

/// Where a server has the rooms that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Memory,
    Postgres,
    Redis,
}

impl Source {
    const ALL: [Source; 3] = [Source::Memory, Source::Postgres, Source::Redis];

    fn name(self) -> &'static str {
        match self {
            Source::Memory => "memory",
            Source::Postgres => "PostgreSQL",
            Source::Redis => "Redis and PostgreSQL",
        }
    }

    fn settings(self, redis: &Redis) -> Vec<(&'static str, String)> {
        let memory = ("CONVOKE_CACHE_MEMORY", MEMORY.to_owned());
        match self {
            Source::Memory => Vec::new(),
            Source::Postgres => vec![memory],
            Source::Redis => vec![memory, ("REDIS_URL", redis.url.clone())],
        }
    }
}

/// What a kind of server came to.
struct Row {
    from: Source,
    calm: Vec<Report>,
    storm: Vec<Report>,
    reads: Stormed,
    layers: Layers,
}

/// Reads of states by where they came from.
#[derive(Default)]
struct Layers {
    memory: u64,
    redis: u64,
    database: u64,
}

pub async fn run() -> Result<(String, Vec<Promise>), Failure> {
    let postgres = Postgres::fresh("live-cold").await?;
    let redis = Redis::start().await?;
    let measured = measure(&postgres, &redis).await;
    postgres.stop().await;
    let rows = measured?;
    let cold = rows.iter().filter(|row| row.from != Source::Memory);
    let promise = |row: &Row| {
        let name = format!("p99 of commands beside cold reads from {}, to that without", row.from.name());
        Promise::at_most(name, ratio(row), STORM_TO_CALM)
    };
    Ok((told(&rows), cold.map(promise).collect()))
}

async fn measure(postgres: &Postgres, redis: &Redis) -> Result<Vec<Row>, Failure> {
    let rooms = Arc::new(rooms(postgres).await?);
    let mut rows = Vec::new();
    for from in Source::ALL {
        let (reads, layers) = (Stormed::new()?, Layers::default());
        rows.push(Row { from, calm: Vec::new(), storm: Vec::new(), reads, layers });
    }
    for round in 1..=ROUNDS {
        eprintln!("cold reads: round {round} of {ROUNDS}");
        for row in &mut rows {
            let served = super::node(postgres, "node", row.from.settings(redis)).await?;
            row.round(&served, &rooms).await?;
            served.stop().await?;
        }
    }
    Ok(rows)
}

/// Rooms in which a third of what happened is that people joined.
async fn rooms(postgres: &Postgres) -> Result<Vec<Uuid>, Failure> {
    eprintln!("{ROOMS} rooms of {EVENTS} events");
    let served = super::node(postgres, "node", []).await?;
    let token = Served::token()?;
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        let room = make_room(served.address, &token).await?;
        let mut lines = String::new();
        for number in 0..PEOPLE {
            let identity = format!("p{number}");
            lines += &line(room, "join", &json!({ "identity": identity, "display_name": format!("Person {number}") }));
            lines += &line(room, "send-message", &json!({ "identity": identity, "text": format!("message {number}") }));
            let hand = if number % 2 == 0 { "raise-hand" } else { "lower-hand" };
            lines += &line(room, hand, &json!({ "identity": format!("p{}", number - number % 2) }));
        }
        carry_out(served.address, &token, lines).await?;
        rooms.push(room);
    }
    served.stop().await?;
    Ok(rooms)
}

impl Row {
    /// Calm and storm, on a server that has just started; which of them comes first changes, since what else the machine does and
    /// the growth of the log fall on both.
    async fn round(&mut self, served: &Served, rooms: &Arc<Vec<Uuid>>) -> Result<(), Failure> {
        let storm = Storm { address: served.address, token: Served::token()?, rooms: rooms.clone() };
        // The first reads bring rooms into Redis, or into memory.
        storm.until(|burst| burst == 2).await?;
        // Not counted: a server that has just started is slower.
        load(served).await?;
        for _ in 0..PAIRS {
            self.pair(served, &storm).await?;
        }
        Ok(())
    }

    async fn pair(&mut self, served: &Served, storm: &Storm) -> Result<(), Failure> {
        let storm_first = self.calm.len() % 2 == 1;
        if !storm_first {
            self.calm.push(load(served).await?);
        }
        let before = Layers::of(served).await?;
        let over = Arc::new(AtomicBool::new(false));
        let reading = storm.clone().until_told(over.clone());
        let report = load(served).await;
        over.store(true, Ordering::Relaxed);
        self.reads.add(&reading.await??)?;
        self.storm.push(report?);
        self.layers.add(&Layers::of(served).await?, &before);
        if storm_first {
            self.calm.push(load(served).await?);
        }
        Ok(())
    }
}

impl Layers {
    async fn of(served: &Served) -> Result<Self, Failure> {
        let mut client = Client::open(served.address, &Served::token()?).await?;
        let mut hits = async |layer: &str| {
            client.metric(&format!("convoke_cache_reads_total{{layer=\"{layer}\",outcome=\"hit\"}}")).await
        };
        Ok(Self { memory: hits("memory").await?, redis: hits("redis").await?, database: hits("database").await? })
    }

    fn add(&mut self, after: &Self, before: &Self) {
        self.memory += after.memory - before.memory;
        self.redis += after.redis - before.redis;
        self.database += after.database - before.database;
    }
}

/// Commands to rooms that nobody reads.
async fn load(served: &Served) -> Result<Report, Failure> {
    let until = Until::Time { warm_up: WARM_UP, measure: MEASURE };
    let work = Work::RoomsEach(8);
    Load { address: served.address, token: Served::token()?, connections: CONNECTIONS, work, until }
        .run()
        .await?
        .clean()
}

/// The ratios of neighbours' p99, the least first.
fn ratios(row: &Row) -> Vec<f64> {
    let mut ratios: Vec<f64> =
        row.storm.iter().zip(&row.calm).map(|(storm, calm)| storm.p99_ms / calm.p99_ms).collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

fn ratio(row: &Row) -> f64 {
    median(ratios(row))
}

/// How far the middle half of the ratios reaches: where that is far, the middle one is not worth much.
fn spread(row: &Row) -> String {
    let ratios = ratios(row);
    let at = |quarter: usize| ratios.get(ratios.len() * quarter / 4).copied().unwrap_or(f64::NAN);
    format!("{:.2} ({:.2} to {:.2})", ratio(row), at(1), at(3))
}

fn told(rows: &[Row]) -> String {
    let mut text = format!(
        "Commands to {} rooms by {CONNECTIONS} connections, without and with {ROOMS} others that read at once, twice a second, each \
         another of {ROOMS} rooms of {EVENTS} events with {PEOPLE} people. Servers that have these rooms in memory, and servers \
         with {MEMORY} for them, which load nearly each of them for each read. Median of {} runs of {} s, in turns; \
         ratios are those of neighbours, with the middle half of them; reads of all runs.\n\n\
         | rooms from | reads | commands/s | p50 ms | p99 ms | p99 to that without |\n|---|---|---|---|---|---|\n",
        CONNECTIONS * 8,
        ROUNDS * PAIRS,
        MEASURE.as_secs(),
    );
    for row in rows {
        for (reads, runs) in [("no", &row.calm), ("yes", &row.storm)] {
            let of = |figure: fn(&Report) -> f64| median(runs.iter().map(figure).collect());
            let (rate, p50, p99) = (of(|run| run.rate), of(|run| run.p50_ms), of(|run| run.p99_ms));
            let to_calm = if reads == "yes" { spread(row) } else { String::new() };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "| {} | {reads} | {rate:.0} | {p50:.2} | {p99:.2} | {to_calm} |", row.from.name());
        }
    }
    text += "\n| rooms from | reads | memory had | Redis had | loads | p50 ms | p99 ms | max ms | all, p50 ms |\n\
             |---|---|---|---|---|---|---|---|---|\n";
    for row in rows {
        let ms = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        let (times, Layers { memory, redis, database }) = (&row.reads.times, &row.layers);
        let (p50, p99, max) = (ms(times, 0.5), ms(times, 0.99), times.max() as f64 / 1000.0);
        let (name, count, all) = (row.from.name(), times.len(), ms(&row.reads.bursts, 0.5));
        let _ = writeln!(
            text,
            "| {name} | {count} | {memory} | {redis} | {database} | {p50:.2} | {p99:.2} | {max:.2} | {all:.2} |"
        );
    }
    text
}
