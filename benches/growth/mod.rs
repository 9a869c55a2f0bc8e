//! How the costs grow with the log: logs of several sizes over 24 monthly partitions, measured in turns.
//!
//! ```text
//! make bench-growth EVENTS=1000000,10000000
//! ```
//!
//! Takes long and much disk: it runs only when it is named.

mod chart;
mod dice;
mod disk;
mod fill;
mod person;
mod report;
mod rows;
mod story;
mod work;

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::fixture::{Failure, Postgres, Promise, machine, tell};
use report::{Archived, Size};
use work::Work;

/// Names the sizes; `make bench-growth` sets it.
const EVENTS: &str = "CONVOKE_BENCH_EVENTS";
const DEFAULT: &str = "1000000";
const ROUNDS: usize = 5;
/// Rebuilds of a log; one of those where that takes long.
const REBUILDS: usize = 3;
const LONG: u64 = 20_000_000;
/// Logs up to this size are walked before they are measured: their hashes are chained as the program chains them.
const VERIFIED: u64 = 2_000_000;

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let sizes = sizes(&std::env::var(EVENTS).unwrap_or_else(|_| DEFAULT.into()))?;
    let folder = Postgres::root();
    std::fs::create_dir_all(&folder)?;
    disk::check(&sizes, &folder)?;
    let mut servers = Vec::new();
    let measured = tokio::select! {
        measured = measure(&sizes, &mut servers) => measured,
        _ = tokio::signal::ctrl_c() => Err("interrupted: nothing was written".into()),
    };
    for server in servers {
        server.stop().await;
    }
    // Also of one that was about to start.
    for events in &sizes {
        let folder = folder.join(name(*events));
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
    }
    let measured = measured?;
    let promises = report::promises(&measured);
    chart::draw(&measured)?;
    tell("growth", &report::text(&measured, &machine()), &promises)?;
    Ok(promises)
}

/// As given: numbers with commas between. The smallest first.
fn sizes(given: &str) -> Result<Vec<u64>, Failure> {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok().filter(|events| *events >= 100_000);
    let sizes: Option<Vec<u64>> = given.split(',').map(number).collect();
    let mut sizes = sizes.ok_or_else(|| {
        format!("EVENTS={given}: numbers of events with commas between, 100000 at least; EVENTS=1000000,10000000 say")
    })?;
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

fn name(events: u64) -> String {
    format!("growth-{events}")
}

/// Fills a log of this size; its server is the last one then. At how many events a second.
async fn filled(events: u64, servers: &mut Vec<Postgres>) -> Result<(&Postgres, f64), Failure> {
    // Whoever stops this stops the servers that are in the list.
    servers.push(Postgres::fresh_with(&name(events), &fill::SETTINGS).await?);
    let begun = Instant::now();
    if let Some(server) = servers.last() {
        fill::fill(server, events).await?;
    }
    let fill = rate(events, begun.elapsed());
    if let Some(server) = servers.pop() {
        // With the program's own settings from here on.
        servers.push(server.restart().await?);
    }
    Ok((servers.last().ok_or("it was started")?, fill))
}

async fn measure(sizes: &[u64], servers: &mut Vec<Postgres>) -> Result<Vec<Size>, Failure> {
    let mut measured = Vec::new();
    for events in sizes {
        let (server, fill) = filled(*events, servers).await?;
        if *events <= VERIFIED {
            convoke(server, &["log", "verify"]).await?;
        }
        measured.push(Size::new(*events, fill, bytes(server).await?));
    }
    let mut works = Vec::new();
    for server in servers.iter() {
        works.push(Work::on(server).await?);
    }
    for round in 1..=ROUNDS {
        eprintln!("reads and appends, round {round} of {ROUNDS}");
        for (work, size) in works.iter_mut().zip(&mut measured) {
            size.rounds.push(work.round().await?);
        }
    }
    for work in works {
        work.close().await;
    }
    // The smallest first, and then it goes: the largest needs the disk.
    for size in &mut measured {
        let server = servers.first().ok_or("each size has a server")?;
        rebuild_and_archive(server, size).await?;
        let folder = server.folder.clone();
        servers.remove(0).stop().await;
        std::fs::remove_dir_all(folder)?;
    }
    Ok(measured)
}

async fn rebuild_and_archive(server: &Postgres, size: &mut Size) -> Result<(), Failure> {
    let rebuilds = if size.events > LONG { 1 } else { REBUILDS };
    for round in 1..=rebuilds {
        eprintln!("rebuilding the read models of {} events, round {round} of {rebuilds}", size.events);
        let (took, _) = convoke(server, &["projection", "rebuild"]).await?;
        size.rebuilds.push(rate(size.events + size.appended(), took));
    }
    size.archive = archive(server).await?;
    Ok(())
}

fn rate(events: u64, took: Duration) -> f64 {
    events as f64 / took.as_secs_f64()
}

/// Runs a command of the program; its progress is shown. How long it took, and what it said.
async fn convoke(server: &Postgres, arguments: &[&str]) -> Result<(Duration, Vec<u8>), Failure> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
    command.args(arguments).env("DATABASE_URL", server.url()).current_dir(&server.folder);
    command.env("CONVOKE_ARCHIVE_URL", format!("file://{}", server.folder.join("archive").display()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let begun = Instant::now();
    let output = command.spawn()?.wait_with_output().await?;
    let took = begun.elapsed();
    if output.status.success() {
        Ok((took, output.stdout))
    } else {
        Err(format!("convoke {} fails", arguments.join(" ")).into())
    }
}

/// Archives all months but the present one.
async fn archive(server: &Postgres) -> Result<Archived, Failure> {
    #[derive(serde::Deserialize)]
    struct Moved {
        events: u64,
        bytes: u64,
    }
    #[derive(serde::Deserialize)]
    struct Report {
        moved: Vec<Moved>,
    }
    let (took, said) = convoke(server, &["archive", "run", "--older-than", "1d", "--json"]).await?;
    let Report { moved } = serde_json::from_slice(&said)?;
    let events = moved.iter().map(|moved| moved.events).sum();
    let bytes = moved.iter().map(|moved| moved.bytes).sum::<u64>() as f64 / events as f64;
    Ok(Archived { rate: rate(events, took), bytes })
}

/// Bytes of the log's tables, and of their indexes.
async fn bytes(server: &Postgres) -> Result<(u64, u64), Failure> {
    let owner = server.owner().await?;
    let (table, indexes): (i64, i64) = sqlx::query_as(
        "SELECT sum(pg_table_size(inhrelid))::bigint, sum(pg_indexes_size(inhrelid))::bigint
         FROM pg_inherits WHERE inhparent = 'convoke.log'::regclass",
    )
    .fetch_one(&owner)
    .await?;
    owner.close().await;
    Ok((table.try_into()?, indexes.try_into()?))
}
