//! Commands over HTTP, beside what `pgbench` gets on the same server with the same settings: many rooms, one connection, one
//! hot room. Client, server and PostgreSQL share the machine.

mod ground;
mod load;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use ground::{Failure, Peer, Postgres, Served, machine, median, write_section};
use load::{Load, Report, Rooms};

/// Peer and product take turns, so that what else the machine does falls on both.
const ROUNDS: usize = 3;
const MEASURE: Duration = Duration::from_secs(8);
const WARM_UP: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 256;
const PEER_CLIENTS: usize = 32;

/// What is promised, as ratios to the peer or as a limit.
const MANY_TO_PEER: f64 = 1.5;
const MANY_P99_MS: f64 = 40.0;
const ONE_P50_TO_PEER: f64 = 3.0;
const HOT_TO_MANY: f64 = 0.5;

#[derive(Default)]
struct Rounds {
    peer_many: Vec<Peer>,
    peer_one: Vec<Peer>,
    many: Vec<Report>,
    one: Vec<Report>,
    hot: Vec<Report>,
}

fn main() -> Result<ExitCode, Failure> {
    // One thread: the client is to take as little as it can of what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let postgres = Postgres::fresh("commands").await?;
        let measured = measure(&postgres).await;
        postgres.stop().await;
        let rounds = measured?;
        let (text, kept) = told(&rounds);
        println!("{text}");
        write_section("commands", &text)?;
        Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn measure(postgres: &Postgres) -> Result<Rounds, Failure> {
    Peer::prepare(postgres).await?;
    let mut rounds = Rounds::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        rounds.peer_many.push(Peer::run(postgres, PEER_CLIENTS, MEASURE).await?);
        rounds.peer_one.push(Peer::run(postgres, 1, MEASURE).await?);
        let served = Served::start(postgres).await?;
        rounds.many.push(load(&served, CONNECTIONS, Rooms::Each(8)).await?);
        rounds.one.push(load(&served, 1, Rooms::Each(64)).await?);
        rounds.hot.push(load(&served, CONNECTIONS, Rooms::OneHot).await?);
        served.stop().await?;
    }
    Ok(rounds)
}

async fn load(served: &Served, connections: usize, rooms: Rooms) -> Result<Report, Failure> {
    let load = Load {
        address: served.address,
        token: Served::token()?,
        connections,
        rooms,
        warm_up: WARM_UP,
        measure: MEASURE,
    };
    let report = load.run().await?;
    match report.failed.first() {
        None => Ok(report),
        Some(failed) => {
            Err(format!("{} failed, such as {}: {}", report.failures(), failed.status, failed.example).into())
        }
    }
}

/// The table, and whether every promise is kept.
fn told(rounds: &Rounds) -> (String, bool) {
    let peer_rate = median(rounds.peer_many.iter().map(|run| run.rate).collect());
    let peer_p50 = median(rounds.peer_one.iter().map(|run| run.p50_ms).collect());
    let of = |runs: &[Report], figure: fn(&Report) -> f64| median(runs.iter().map(figure).collect());
    let (many, many_p99) = (of(&rounds.many, |run| run.rate), of(&rounds.many, |run| run.p99_ms));
    let (one_p50, hot) = (of(&rounds.one, |run| run.p50_ms), of(&rounds.hot, |run| run.rate));
    let promises = [
        ("Commands over many rooms, to pgbench's inserts", many / peer_rate, "at least", MANY_TO_PEER),
        ("p99 over many rooms, ms", many_p99, "at most", MANY_P99_MS),
        ("Median of one connection, to pgbench's of one client", one_p50 / peer_p50, "at most", ONE_P50_TO_PEER),
        ("One hot room, to many rooms", hot / many, "at least", HOT_TO_MANY),
    ];
    let mut text = format!(
        "## Commands over HTTP\n\n`cargo bench --bench commands`: {}. `raise-hand` and `lower-hand` in turn, each with an \
         idempotency key, by {CONNECTIONS} connections over {} rooms or one; `pgbench -M prepared` inserts single rows into an \
         equal table, without idempotency, versions, rules or HTTP. Median of {ROUNDS} rounds of {} s, in turns.\n\n",
        machine(),
        CONNECTIONS * 8,
        MEASURE.as_secs(),
    );
    text.push_str("| what | rate /s | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|\n");
    let _ = writeln!(text, "| pgbench, {PEER_CLIENTS} clients | {peer_rate:.0} | | | |");
    let _ = writeln!(
        text,
        "| pgbench, 1 client | {:.0} | {peer_p50:.2} | | |",
        median(rounds.peer_one.iter().map(|run| run.rate).collect())
    );
    for (what, runs) in [("many rooms", &rounds.many), ("1 connection", &rounds.one), ("one hot room", &rounds.hot)] {
        let figures = [of(runs, |r| r.rate), of(runs, |r| r.p50_ms), of(runs, |r| r.p99_ms), of(runs, |r| r.max_ms)];
        let _ = writeln!(
            text,
            "| {what} | {:.0} | {:.2} | {:.2} | {:.2} |",
            figures[0], figures[1], figures[2], figures[3]
        );
    }
    text.push_str("\n| promise | measured | promised | kept |\n|---|---|---|---|\n");
    let mut all_kept = true;
    for (what, measured, bound, promised) in promises {
        let kept = if bound == "at least" { measured >= promised } else { measured <= promised };
        all_kept &= kept;
        let _ = writeln!(text, "| {what} | {measured:.2} | {bound} {promised} | {} |", if kept { "yes" } else { "no" });
    }
    (text, all_kept)
}
