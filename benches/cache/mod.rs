//! A room read out of memory and loaded for each read, over HTTP and by the function that the route calls; and how often a day's
//! readers need no database.

mod bare;
mod function;
mod mix;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bare::Bare;

use crate::fixture::{Failure, Postgres, Promise, Served, machine, median, tell};
use crate::load::{Load, Report, Until, Work};

const ROOMS: usize = 1_000;
const CONNECTIONS: usize = 64;
const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(5);

/// What is promised, to PostgreSQL.
const MEMORY: f64 = 10.0;
const HIT_RATE: f64 = 0.9;

/// Which layer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Memory,
    Database,
}

impl Layer {
    const ALL: [Layer; 2] = [Layer::Memory, Layer::Database];

    fn name(self) -> &'static str {
        match self {
            Layer::Memory => "memory",
            Layer::Database => "PostgreSQL",
        }
    }

    /// Of `convoke serve`, and of a cache: the other layers are turned off.
    fn settings(self) -> Vec<(&'static str, String)> {
        match self {
            Layer::Memory => Vec::new(),
            Layer::Database => vec![("CONVOKE_CACHE_MEMORY", "0B".into())],
        }
    }
}

/// Rates of each layer, in the order of [`Layer::ALL`].
#[derive(Default)]
struct Rates {
    http: [Vec<Report>; 2],
    /// Of HTTP alone.
    bare: Vec<Report>,
    function: [Vec<f64>; 2],
}

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let postgres = Postgres::fresh("cache").await?;
    let measured = measure(&postgres).await;
    let mixed = mix::run(&postgres).await;
    postgres.stop().await;
    let (rates, mixed) = (measured?, mixed?);
    let promises = promises(&rates, &mixed);
    tell("cache", &summary(&rates, &mixed), &promises)?;
    Ok(promises)
}

async fn measure(postgres: &Postgres) -> Result<Rates, Failure> {
    let paths = Arc::new(rooms(postgres).await?);
    let mut rates = Rates::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        for (number, layer) in Layer::ALL.into_iter().enumerate() {
            let served = Served::start_with(postgres, &layer.settings()).await?;
            rates.http[number].push(load(served.address, &paths).await?);
            if layer == Layer::Memory {
                let bare = Bare::like(&served, &paths[0]).await?;
                rates.bare.push(load(bare.address, &paths).await?);
            }
            served.stop().await?;
            rates.function[number].push(function::rate(postgres, &layer.settings(), MEASURE).await?);
        }
    }
    Ok(rates)
}

async fn load(address: SocketAddr, paths: &Arc<Vec<String>>) -> Result<Report, Failure> {
    let until = Until::Time { warm_up: WARM_UP, measure: MEASURE };
    let work = Work::Get(Arc::clone(paths));
    let load = Load { address, token: Served::token()?, connections: CONNECTIONS, work, until };
    load.run().await?.clean()
}

/// Rooms with somebody in each; the paths of their views.
async fn rooms(postgres: &Postgres) -> Result<Vec<String>, Failure> {
    let served = Served::start(postgres).await?;
    let work = Work::RoomsEach(ROOMS / CONNECTIONS + 1);
    let until = Until::Requests(0);
    let load = Load { address: served.address, token: Served::token()?, connections: CONNECTIONS, work, until };
    load.run().await?.clean()?;
    let owner = postgres.owner().await?;
    // The read model has them all.
    while !sqlx::query_scalar(
        "SELECT p.position >= h.position FROM convoke.projections p, convoke.log_head h WHERE p.name = 'rooms'",
    )
    .fetch_one(&owner)
    .await?
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served.stop().await?;
    let rooms: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT room FROM convoke.room_heads").fetch_all(&owner).await?;
    Ok(rooms.iter().map(|room| format!("/v1/rooms/{room}")).collect())
}

fn rate(runs: &[Report]) -> f64 {
    median(runs.iter().map(|run| run.rate).collect())
}

fn http(rates: &Rates, layer: usize) -> f64 {
    rate(&rates.http[layer])
}

fn function(rates: &Rates, layer: usize) -> f64 {
    median(rates.function[layer].clone())
}

fn promises(rates: &Rates, mixed: &mix::Mixed) -> Vec<Promise> {
    vec![
        Promise::at_least("rooms out of memory, to PostgreSQL, over HTTP", http(rates, 0) / http(rates, 1), MEMORY),
        Promise::at_least("the same, memory, by the function", function(rates, 0) / function(rates, 1), MEMORY),
        Promise::at_least("reads of a busy day that need no database", mixed.hit_rate, HIT_RATE),
    ]
}

fn summary(rates: &Rates, mixed: &mix::Mixed) -> String {
    let mut text = format!(
        "## A room out of memory\n\n`cargo bench -- cache`: {}. `GET /v1/rooms/{{room}}` over {} rooms in turn by {CONNECTIONS} \
         connections, with memory and without; and the function that the route calls, by {} callers on one thread. Client, \
         server and PostgreSQL share the machine. Median of {ROUNDS} rounds of {} s, in turns.\n\n\
         | layer | HTTP, reads/s | p50 ms | p99 ms | function, reads/s |\n|---|---|---|---|---|\n",
        machine(),
        (ROOMS / CONNECTIONS + 1) * CONNECTIONS,
        function::CALLERS,
        MEASURE.as_secs(),
    );
    for (number, layer) in Layer::ALL.into_iter().enumerate() {
        let of = |figure: fn(&Report) -> f64| median(rates.http[number].iter().map(figure).collect());
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.2} | {:.2} | {:.0} |",
            layer.name(),
            http(rates, number),
            of(|run| run.p50_ms),
            of(|run| run.p99_ms),
            function(rates, number),
        );
    }
    let (bare, memory, database) = (rate(&rates.bare), http(rates, 0), http(rates, 1));
    let _ = writeln!(
        text,
        "\nA bare server of the same bytes under the same load (axum, one handler, nothing else) answers {bare:.0} times a second: \
         {:.1} times PostgreSQL's rate, more than which no cache could reach here, and memory comes to {:.2} of it.",
        bare / database,
        memory / bare,
    );
    let _ = writeln!(text, "\n{}", mixed.told());
    text
}
