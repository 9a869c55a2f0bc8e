//! Live streams over server-sent events: what an idle one costs in memory, and how soon a message is with each of a thousand readers
//! of a room, at set rates and as fast as it goes. The load runs beside the server, in this process.

mod readers;
mod writers;

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use uuid::Uuid;

use crate::fixture::{Failure, Postgres, Promise, Served, machine, tell};
use readers::Readers;
use writers::{Pace, Writers};

const IDLE_ROOMS: usize = 400;
const IDLE_STREAMS: usize = 4_000;
const READERS: usize = 1_000;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(8);
/// Deliveries a second.
const PACES: [usize; 2] = [60_000, 100_000];

const IDLE_KB: f64 = 16.0;
const P99_AT_100_000: f64 = 60.0;
const MOST: f64 = 250_000.0;

/// What a run of fan-out came to.
struct Fanout {
    name: String,
    rate: f64,
    times: Histogram<u64>,
}

pub async fn run() -> Result<Vec<Promise>, Failure> {
    readers::on_this_thread(measure()).await
}

async fn measure() -> Result<Vec<Promise>, Failure> {
    let postgres = Postgres::fresh("streams").await?;
    let settings = [("CONVOKE_HTTP_MAX_CONNECTIONS", "20000".to_owned())];
    let served = Served::start_with(&postgres, &settings).await?;
    let writers = Writers::new(served.address, Served::token()?);
    eprintln!("{IDLE_STREAMS} idle streams");
    let idle = idle(&served, &writers).await?;
    let room = writers.room().await?;
    let readers = Readers::open(served.address, &Served::token()?, std::iter::repeat_n(room, READERS)).await?;
    let mut runs = Vec::new();
    for pace in PACES {
        eprintln!("{pace} deliveries a second");
        runs.push(
            fanout(&readers, &writers, room, Pace::Each(Duration::from_secs(1) / (pace / READERS) as u32)).await?,
        );
    }
    eprintln!("as many deliveries as it takes");
    runs.push(fanout(&readers, &writers, room, Pace::Closed).await?);
    drop(readers);
    served.stop().await?;
    postgres.stop().await;
    let at_100_000 = runs[1].times.value_at_quantile(0.99) as f64 / 1000.0;
    let promises = vec![
        Promise::at_most("kB of resident memory, an idle stream", idle, IDLE_KB),
        Promise::at_most("p99 in ms at 100,000 deliveries a second", at_100_000, P99_AT_100_000),
        Promise::at_least("deliveries a second, at most", runs[2].rate, MOST),
    ];
    tell("streams", &summary(idle, &runs), &promises)?;
    Ok(promises)
}

/// Kilobytes of the server's resident memory for each of many streams on which nothing happens.
async fn idle(served: &Served, writers: &Writers) -> Result<f64, Failure> {
    let mut rooms = Vec::new();
    for _ in 0..IDLE_ROOMS {
        rooms.push(writers.room().await?);
    }
    // What the first streams bring into memory is not theirs.
    drop(Readers::open(served.address, &Served::token()?, rooms.iter().copied()).await?);
    tokio::time::sleep(WARM_UP).await;
    let before = served.resident_kb()?;
    let all = rooms.iter().copied().cycle().take(IDLE_STREAMS);
    let readers = Readers::open(served.address, &Served::token()?, all).await?;
    tokio::time::sleep(MEASURE).await;
    let after = served.resident_kb()?;
    drop(readers);
    tokio::time::sleep(WARM_UP).await;
    Ok(after.saturating_sub(before) as f64 / IDLE_STREAMS as f64)
}

async fn fanout(readers: &Readers, writers: &Writers, room: Uuid, pace: Pace) -> Result<Fanout, Failure> {
    let writing = writers.write(room, pace, WARM_UP + MEASURE);
    let measuring = async {
        tokio::time::sleep(WARM_UP).await;
        readers.count_anew();
        tokio::time::sleep(MEASURE).await;
        readers.counted()
    };
    let (sent, times) = tokio::join!(writing, measuring);
    sent?;
    readers.drained().await?;
    let rate = times.len() as f64 / MEASURE.as_secs_f64();
    let name = match pace {
        Pace::Each(_) => "set".to_owned(),
        Pace::Closed => "as fast as it goes".to_owned(),
    };
    Ok(Fanout { name, rate, times })
}

fn summary(idle: f64, runs: &[Fanout]) -> String {
    let mut text = format!(
        "## Live streams\n\n`cargo bench -- streams`: {}. {IDLE_STREAMS} idle streams over {IDLE_ROOMS} rooms: {idle:.1} kB of the \
         server's resident memory each. One room with {READERS} readers, durable messages of one line, {} s each, from the \
         moment a command is sent to the moment a reader has its event:\n\n| rate | deliveries/s | p50 ms | p99 ms | max ms |\n\
         |---|---|---|---|---|\n",
        machine(),
        MEASURE.as_secs(),
    );
    for run in runs {
        let ms = |quantile| run.times.value_at_quantile(quantile) as f64 / 1000.0;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.1} | {:.1} | {:.1} |",
            run.name,
            run.rate,
            ms(0.5),
            ms(0.99),
            run.times.max() as f64 / 1000.0,
        );
    }
    text
}
