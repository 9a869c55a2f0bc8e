//! Two servers on one log: how soon the second shows what the first acknowledged, to readers that name no position; and whether the
//! first shows it at once.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::client::Client;
use super::storm::beside;
use crate::fixture::{Failure, Postgres, Promise, Served};
use crate::load::{Load, Report, Until, Work, make_room};

const COMMANDS: usize = 2_000;
const WARM_UP: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

/// Of the load beside which the second node is looked at again.
const CONNECTIONS: usize = 32;
const LOAD: Until = Until::Time { warm_up: Duration::from_secs(1), measure: Duration::from_secs(10) };

/// What is promised.
const P99_MS: f64 = 50.0;

const WRITER: &str = "ann";

/// What one server writes and another shows.
#[derive(Clone)]
struct Pair {
    first: SocketAddr,
    second: SocketAddr,
    token: String,
    room: Uuid,
}

/// How long it takes until the second node shows what the first acknowledged.
struct Shown {
    /// Microseconds.
    times: Histogram<u64>,
    reads: u64,
}

/// Reads on the node that acknowledged a command, right after the answer, that lacked it.
#[derive(Default)]
struct Lacking {
    view: usize,
    participants: usize,
    messages: usize,
    events: usize,
}

struct Measured {
    calm: Shown,
    loaded: Shown,
    load: Report,
    lacking: Lacking,
}

pub async fn run() -> Result<(String, Vec<Promise>), Failure> {
    let postgres = Postgres::fresh("live-nodes").await?;
    let first = super::node(&postgres, "first", []).await?;
    let second = super::node(&postgres, "second", []).await?;
    let measured = measure(&first, &second).await;
    first.stop().await?;
    second.stop().await?;
    postgres.stop().await;
    let measured = measured?;
    let p99 = ms(&measured.calm.times, 0.99);
    let mut promises = vec![Promise::at_most("p99 in ms until another server shows a command", p99, P99_MS)];
    let lacking = &measured.lacking;
    for (what, lacking) in [
        ("a room", lacking.view),
        ("participants", lacking.participants),
        ("messages", lacking.messages),
        ("events", lacking.events),
    ] {
        let name = format!("reads of {what} right after a command, on its server, that lack it, of {COMMANDS}");
        promises.push(Promise::at_most(name, lacking as f64, 0.0));
    }
    Ok((told(&measured), promises))
}

async fn measure(first: &Served, second: &Served) -> Result<Measured, Failure> {
    let token = Served::token()?;
    let room = make_room(first.address, &token).await?;
    let pair = Pair { first: first.address, second: second.address, token, room };
    let identity = format!("{{\"identity\":\"{WRITER}\"}}");
    Client::open(pair.first, &pair.token).await?.command(room, "join", &identity).await?;
    eprintln!("two nodes: until the second shows a command");
    pair.shown(|sent| sent == WARM_UP).await?;
    let calm = pair.shown(|sent| sent == COMMANDS).await?;
    eprintln!("two nodes: reads right after a command");
    let lacking = pair.lacking().await?;
    eprintln!("two nodes: the same beside a load");
    let over = Arc::new(AtomicBool::new(false));
    let (theirs, seen) = (pair.clone(), over.clone());
    let looking = beside(move || async move { theirs.shown(|_| seen.load(Ordering::Relaxed)).await });
    let work = Work::RoomsEach(8);
    let load = Load { address: pair.first, token: pair.token, connections: CONNECTIONS, work, until: LOAD }.run().await;
    over.store(true, Ordering::Relaxed);
    let loaded = looking.await??;
    Ok(Measured { calm, loaded, load: load?.clean()?, lacking })
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

/// `raise-hand` and `lower-hand` in turn.
fn hand(turn: usize) -> (&'static str, String) {
    let command = if turn.is_multiple_of(2) { "raise-hand" } else { "lower-hand" };
    (command, format!("{{\"identity\":\"{WRITER}\"}}"))
}

impl Pair {
    /// Sends commands to the first node, an even number of them, and reads the room on the second one until it shows each.
    async fn shown(&self, over: impl Fn(usize) -> bool) -> Result<Shown, Failure> {
        let mut writer = Client::open(self.first, &self.token).await?;
        let mut reader = Client::open(self.second, &self.token).await?;
        let path = format!("/v1/rooms/{}", self.room);
        let (mut times, mut reads) = (Histogram::new_with_bounds(1, 60_000_000, 3)?, 0);
        for turn in 0_usize.. {
            if turn.is_multiple_of(2) && over(turn) {
                break;
            }
            let (command, data) = hand(turn);
            let version = writer.command(self.room, command, &data).await?;
            let answered = Instant::now();
            loop {
                let seen: Version = serde_json::from_slice(reader.get(&path).await?)?;
                reads += 1;
                if seen.version >= version {
                    break;
                }
                if answered.elapsed() > PATIENCE {
                    return Err("the second node does not show a command".into());
                }
            }
            times.saturating_record(u64::try_from(answered.elapsed().as_micros())?.max(1));
        }
        Ok(Shown { times, reads })
    }

    /// After each command two reads of what it changed, at the same time, on the node that answered it.
    async fn lacking(&self) -> Result<Lacking, Failure> {
        let mut writer = Client::open(self.first, &self.token).await?;
        let mut one = Client::open(self.first, &self.token).await?;
        let mut other = Client::open(self.first, &self.token).await?;
        let room = format!("/v1/rooms/{}", self.room);
        let (participants, messages) =
            (format!("{room}/participants"), format!("{room}/messages?order=newest&limit=1"));
        let mut lacking = Lacking::default();
        for turn in 0..COMMANDS {
            let (command, data) = hand(turn);
            let version = writer.command(self.room, command, &data).await?;
            let (view, people) = tokio::join!(one.get(&room), other.get(&participants));
            let (view, people): (Value, Value) = (serde_json::from_slice(view?)?, serde_json::from_slice(people?)?);
            lacking.view += usize::from(view["version"].as_u64() < Some(version));
            let raised = people["participants"][0]["hand_raised"].as_bool();
            lacking.participants += usize::from(raised != Some(command == "raise-hand"));

            let data = format!("{{\"identity\":\"{WRITER}\",\"text\":\"message {turn}\"}}");
            let version = writer.command(self.room, "send-message", &data).await?;
            let events = format!("{room}/events?cursor={}", version - 1);
            let (newest, events) = tokio::join!(one.get(&messages), other.get(&events));
            let (newest, events): (Value, Value) = (serde_json::from_slice(newest?)?, serde_json::from_slice(events?)?);
            lacking.messages += usize::from(newest["messages"][0]["message"].as_u64() != Some(version));
            lacking.events += usize::from(events["events"].as_array().is_none_or(Vec::is_empty));
        }
        Ok(lacking)
    }
}

fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1000.0
}

fn told(measured: &Measured) -> String {
    let mut text = format!(
        "Two servers on one PostgreSQL: from the answer to a command of the first until `GET /v1/rooms/{{room}}` of the second, asked \
         again and again without `at_least`, shows it. Alone, {COMMANDS} commands one after the other; and beside {CONNECTIONS} \
         connections with commands to other rooms of the first, {:.0} a second.\n\n\
         | | commands | reads for each | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|---|\n",
        measured.load.rate,
    );
    for (name, shown) in [("alone", &measured.calm), ("beside a load", &measured.loaded)] {
        let (p50, p99, max) = (ms(&shown.times, 0.5), ms(&shown.times, 0.99), shown.times.max() as f64 / 1000.0);
        let (commands, each) = (shown.times.len(), shown.reads as f64 / shown.times.len() as f64);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {name} | {commands} | {each:.1} | {p50:.2} | {p99:.2} | {max:.2} |");
    }
    text
}
