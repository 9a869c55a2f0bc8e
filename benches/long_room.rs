//! A room of half a million events: its first view after a start, and its views at versions all over it.

use std::sync::Arc;
use std::time::Instant;

use uuid::Uuid;

use crate::fixture::{Failure, Postgres, Promise, Served, machine, tell};
use crate::load::{Load, Until, Work, make_room};

const EVENTS: usize = 500_000;
/// So many write at once: one hot room.
const CONNECTIONS: usize = 250;
const STARTS: usize = 5;
/// Views at earlier versions, evenly over the room's life, at places that no multiple of a round number hits.
const VIEWS: usize = 499;

const FIRST_VIEW_MS: f64 = 20.0;
const EARLIER_VIEW_MS: f64 = 30.0;

struct Measured {
    /// Each after a start.
    first_views_ms: Vec<f64>,
    earlier_p50_ms: f64,
    earlier_max_ms: f64,
}

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let postgres = Postgres::fresh("long-room").await?;
    let measured = measure(&postgres).await;
    postgres.stop().await;
    let Measured { first_views_ms, earlier_p50_ms, earlier_max_ms } = measured?;
    let slowest = first_views_ms.iter().copied().fold(0.0, f64::max);
    let promises = vec![
        Promise::at_most("slowest first view after a start, ms", slowest, FIRST_VIEW_MS),
        Promise::at_most("slowest view at an earlier version, ms", earlier_max_ms, EARLIER_VIEW_MS),
    ];
    let text = format!(
        "## A room of {EVENTS} events\n\n`cargo bench -- long-room`: {}. Filled by commands over HTTP; `GET /v1/rooms/{{room}}` \
         as the first request after each of {STARTS} starts, then with `?version=` at {VIEWS} versions all over it, one after \
         the other.\n\n| what | ms |\n|---|---|\n| first view after a start, slowest | {slowest:.2} |\n| view at an earlier \
         version, median | {earlier_p50_ms:.2} |\n| view at an earlier version, slowest | {earlier_max_ms:.2} |",
        machine(),
    );
    tell("long-room", &text, &promises)?;
    Ok(promises)
}

async fn measure(postgres: &Postgres) -> Result<Measured, Failure> {
    let token = Served::token()?;
    let served = Served::start(postgres).await?;
    let room = make_room(served.address, &token).await?;
    eprintln!("writing {EVENTS} events into one room");
    let until = Until::Requests(EVENTS / CONNECTIONS);
    let fill = Load { address: served.address, token, connections: CONNECTIONS, work: Work::HotRoom(room), until };
    fill.run().await?.clean()?;
    served.stop().await?;

    let mut first_views_ms = Vec::new();
    for _ in 0..STARTS {
        let served = Served::start(postgres).await?;
        first_views_ms.push(first_view(&served, room).await?);
        served.stop().await?;
    }
    let served = Served::start(postgres).await?;
    let paths = (1..=VIEWS).map(|number| format!("/v1/rooms/{room}?version={}", number * EVENTS / VIEWS)).collect();
    let (address, token) = (served.address, Served::token()?);
    let work = Work::Get(Arc::new(paths));
    let views = Load { address, token, connections: 1, work, until: Until::Requests(VIEWS) }.run().await?.clean()?;
    served.stop().await?;
    Ok(Measured { first_views_ms, earlier_p50_ms: views.p50_ms, earlier_max_ms: views.max_ms })
}

async fn first_view(served: &Served, room: Uuid) -> Result<f64, Failure> {
    let client = reqwest::Client::new();
    let request = client.get(format!("http://{}/v1/rooms/{room}", served.address)).bearer_auth(Served::token()?);
    let begun = Instant::now();
    let answer = request.send().await?.error_for_status()?;
    answer.bytes().await?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}
