//! Commands over HTTP, beside what `pgbench` gets on the same server with the same settings: many rooms, one connection, one
//! hot room; and many rooms on a server with PostgreSQL's own settings. Client, server and PostgreSQL share the machine.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::fixture::{DefaultPostgres, Failure, Peer, Postgres, Promise, Served, machine, median, tell};
use crate::load::{Load, Report, Until, Work, make_room};

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
/// A server that nobody tuned costs no more than this.
const DEFAULTS_TO_MANY: f64 = 0.9;

#[derive(Default)]
struct Rounds {
    peer_many: Vec<Peer>,
    peer_one: Vec<Peer>,
    many: Vec<Report>,
    /// On a server with PostgreSQL's own settings.
    defaults: Vec<Report>,
    one: Vec<Report>,
    hot: Vec<Report>,
    view: Vec<Report>,
}

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let postgres = Postgres::fresh("commands").await?;
    let defaults = DefaultPostgres::fresh_beside(&postgres).await?;
    let measured = measure(&postgres, &defaults).await;
    defaults.stop().await?;
    postgres.stop().await;
    let rounds = measured?;
    let promises = promises(&rounds);
    tell("commands", &summary(&rounds), &promises)?;
    Ok(promises)
}

async fn measure(postgres: &Postgres, defaults: &DefaultPostgres) -> Result<Rounds, Failure> {
    Peer::prepare(postgres).await?;
    let mut rounds = Rounds::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        rounds.peer_many.push(Peer::run(postgres, PEER_CLIENTS, MEASURE).await?);
        rounds.peer_one.push(Peer::run(postgres, 1, MEASURE).await?);
        let served = Served::start(postgres).await?;
        rounds.many.push(load(&served, CONNECTIONS, Work::RoomsEach(8)).await?);
        served.stop().await?;
        // Right after the other, so that both meet the same machine; each on a server that has just started.
        let served = Served::start_at(&defaults.url, &defaults.folder, &[]).await?;
        rounds.defaults.push(load(&served, CONNECTIONS, Work::RoomsEach(8)).await?);
        served.stop().await?;
        let served = Served::start(postgres).await?;
        rounds.one.push(load(&served, 1, Work::RoomsEach(64)).await?);
        let hot = make_room(served.address, &Served::token()?).await?;
        rounds.hot.push(load(&served, CONNECTIONS, Work::HotRoom(hot)).await?);
        let path = Arc::new(vec![format!("/v1/rooms/{hot}")]);
        rounds.view.push(load(&served, CONNECTIONS, Work::Get(path)).await?);
        served.stop().await?;
    }
    Ok(rounds)
}

async fn load(served: &Served, connections: usize, work: Work) -> Result<Report, Failure> {
    let until = Until::Time { warm_up: WARM_UP, measure: MEASURE };
    let load = Load { address: served.address, token: Served::token()?, connections, work, until };
    load.run().await?.clean()
}

fn of(runs: &[Report], figure: fn(&Report) -> f64) -> f64 {
    median(runs.iter().map(figure).collect())
}

fn of_peer(runs: &[Peer], figure: fn(&Peer) -> f64) -> f64 {
    median(runs.iter().map(figure).collect())
}

fn promises(rounds: &Rounds) -> Vec<Promise> {
    let many = of(&rounds.many, |run| run.rate);
    let to_peer = many / of_peer(&rounds.peer_many, |run| run.rate);
    let one_to_peer = of(&rounds.one, |run| run.p50_ms) / of_peer(&rounds.peer_one, |run| run.p50_ms);
    let defaults_to_many = of(&rounds.defaults, |run| run.rate) / many;
    let hot_to_many = of(&rounds.hot, |run| run.rate) / many;
    vec![
        Promise::at_least("Commands over many rooms, to pgbench's inserts", to_peer, MANY_TO_PEER),
        Promise::at_most("p99 over many rooms, ms", of(&rounds.many, |run| run.p99_ms), MANY_P99_MS),
        Promise::at_most("Median of one connection, to pgbench's of one client", one_to_peer, ONE_P50_TO_PEER),
        Promise::at_least(
            "Many rooms with PostgreSQL's own settings, to the private server's",
            defaults_to_many,
            DEFAULTS_TO_MANY,
        ),
        Promise::at_least("One hot room, to many rooms", hot_to_many, HOT_TO_MANY),
    ]
}

fn summary(rounds: &Rounds) -> String {
    let mut text = format!(
        "## Commands over HTTP\n\n`cargo bench -- commands`: {}. `raise-hand` and `lower-hand` in turn, each with an \
         idempotency key, by {CONNECTIONS} connections over {} rooms or one; `pgbench -M prepared` inserts single rows into an \
         equal table, without idempotency, versions, rules or HTTP. PostgreSQL's own settings are those of `initdb`, \
         nothing set but the socket. Client, server and PostgreSQL share the machine. Median \
         of {ROUNDS} rounds of {} s, in turns.\n\n",
        machine(),
        CONNECTIONS * 8,
        MEASURE.as_secs(),
    );
    text.push_str("| what | rate /s | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|\n");
    for (clients, runs) in [(PEER_CLIENTS, &rounds.peer_many), (1, &rounds.peer_one)] {
        let (rate, p50) = (of_peer(runs, |run| run.rate), of_peer(runs, |run| run.p50_ms));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| pgbench, clients: {clients} | {rate:.0} | {p50:.2} | | |");
    }
    for (what, runs) in [
        ("many rooms", &rounds.many),
        ("many rooms, PostgreSQL's own settings", &rounds.defaults),
        ("1 connection", &rounds.one),
        ("one hot room", &rounds.hot),
        ("views of that room", &rounds.view),
    ] {
        let (rate, p50) = (of(runs, |run| run.rate), of(runs, |run| run.p50_ms));
        let (p99, max) = (of(runs, |run| run.p99_ms), of(runs, |run| run.max_ms));
        let _ = writeln!(text, "| {what} | {rate:.0} | {p50:.2} | {p99:.2} | {max:.2} |");
    }
    text
}
