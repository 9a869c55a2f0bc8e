//! Pages of a room in use as a person in it reads them, beside the health of the process on the same connections, which is next to
//! nothing but HTTP: of a room of 400 people, and of one of 10,000.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, carry_out, line};
use crate::fixture::{Failure, Postgres, Promise, Served, median};
use crate::load::{Load, Report, Until, Work, make_room};

const PEOPLE: [usize; 2] = [400, 10_000];
const MESSAGES: usize = 300;
const LIMIT: usize = 50;
const READER: &str = "p1";

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 7;
const WARM_UP: Duration = Duration::from_millis(500);
const MEASURE: Duration = Duration::from_secs(2);

/// What is read of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    View,
    Participants,
    Messages,
    Events,
}

impl What {
    const ALL: [What; 4] = [What::View, What::Participants, What::Messages, What::Events];

    fn name(self) -> &'static str {
        match self {
            What::View => "the room",
            What::Participants => "participants",
            What::Messages => "newest messages",
            What::Events => "newest events",
        }
    }

    fn path(self, room: Uuid, version: u64) -> String {
        let page = match self {
            What::View => String::new(),
            What::Participants => format!("/participants?limit={LIMIT}"),
            What::Messages => format!("/messages?order=newest&limit={LIMIT}"),
            What::Events => format!("/events?limit={LIMIT}&cursor={}", version - LIMIT as u64),
        };
        format!("/v1/rooms/{room}{page}")
    }

    /// How many a page holds; one for a room.
    fn count(self, page: &Value) -> usize {
        let list = match self {
            What::View => return usize::from(page["version"].is_u64()),
            What::Participants => "participants",
            What::Messages => "messages",
            What::Events => "events",
        };
        page[list].as_array().map_or(0, Vec::len)
    }

    /// What is promised, to `/health/live`.
    fn to_health(self) -> f64 {
        match self {
            What::View | What::Participants => 0.5,
            What::Messages | What::Events => 0.15,
        }
    }
}

/// What is promised of the large room, to the small one.
const LARGE_TO_SMALL: f64 = 0.5;

/// What is read, of how large a room.
struct Row {
    what: What,
    people: usize,
    path: String,
    bytes: usize,
    runs: Vec<Report>,
}

pub async fn run() -> Result<(String, Vec<Promise>), Failure> {
    let postgres = Postgres::fresh("live-reads").await?;
    let served = Served::start(&postgres).await?;
    let measured = measure(&served).await;
    served.stop().await?;
    postgres.stop().await;
    let (health, rows) = measured?;
    Ok((told(&health, &rows), promises(&health, &rows)))
}

async fn measure(served: &Served) -> Result<(Vec<Report>, Vec<Row>), Failure> {
    let mut rows = Vec::new();
    for people in PEOPLE {
        eprintln!("a room of {people}");
        rows.extend(rows_of(served, people).await?);
    }
    let mut health = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("reads: round {round} of {ROUNDS}");
        health.push(load(served, "/health/live").await?);
        for row in &mut rows {
            row.runs.push(load(served, &row.path).await?);
        }
    }
    // Large beside small in the next table.
    rows.sort_by_key(|row| row.people);
    Ok((health, rows))
}

/// Makes a room with so many people in it, and looks whether its pages are what is to be measured.
async fn rows_of(served: &Served, people: usize) -> Result<Vec<Row>, Failure> {
    let token = Served::token()?;
    let room = make_room(served.address, &token).await?;
    let mut lines = String::new();
    for person in 0..people {
        let data = json!({ "identity": format!("p{person}"), "display_name": format!("Person {person}") });
        lines += &line(room, "join", &data);
    }
    for number in 0..MESSAGES {
        let data = json!({ "identity": format!("p{number}"), "text": format!("message {number}") });
        lines += &line(room, "send-message", &data);
    }
    carry_out(served.address, &token, lines).await?;
    let mut reader = Client::open(served.address, &Served::token_of_person(READER)?).await?;
    let view: Value = serde_json::from_slice(reader.get(&What::View.path(room, 0)).await?)?;
    let version = view["version"].as_u64().ok_or("a room has a version")?;
    let mut rows = Vec::new();
    for what in What::ALL {
        let path = what.path(room, version);
        let body = reader.get(&path).await?;
        let (bytes, page): (usize, Value) = (body.len(), serde_json::from_slice(body)?);
        let wanted = if what == What::View { 1 } else { LIMIT };
        if what.count(&page) != wanted {
            return Err(format!("{path} holds {} in place of {wanted}", what.count(&page)).into());
        }
        rows.push(Row { what, people, path, bytes, runs: Vec::new() });
    }
    Ok(rows)
}

async fn load(served: &Served, path: &str) -> Result<Report, Failure> {
    let until = Until::Time { warm_up: WARM_UP, measure: MEASURE };
    let (token, work) = (Served::token_of_person(READER)?, Work::Get(Arc::new(vec![path.to_owned()])));
    Load { address: served.address, token, connections: CONNECTIONS, work, until }.run().await?.clean()
}

/// The middle of the rounds' ratios: what befalls the machine in a round falls on both.
fn ratio(runs: &[Report], to: &[Report]) -> f64 {
    median(runs.iter().zip(to).map(|(run, to)| run.rate / to.rate).collect())
}

fn row(rows: &[Row], what: What, people: usize) -> &[Report] {
    rows.iter().find(|row| row.what == what && row.people == people).map_or(&[], |row| &row.runs)
}

fn promises(health: &[Report], rows: &[Row]) -> Vec<Promise> {
    let [small, large] = PEOPLE;
    let mut promises = Vec::new();
    for what in What::ALL {
        let name = format!("reads of {} of {small}, to /health/live", what.name());
        let name = if what == What::View { format!("reads of a room of {small}, to /health/live") } else { name };
        promises.push(Promise::at_least(name, ratio(row(rows, what, small), health), what.to_health()));
    }
    for what in What::ALL.into_iter().filter(|what| *what != What::View) {
        let measured = ratio(row(rows, what, large), row(rows, what, small));
        let name = format!("reads of {} of {large}, to {small}", what.name());
        promises.push(Promise::at_least(name, measured, LARGE_TO_SMALL));
    }
    promises
}

fn told(health: &[Report], rows: &[Row]) -> String {
    let mut text = format!(
        "A person in a room reads it with {CONNECTIONS} connections, each page again and again; pages of {LIMIT}, {MESSAGES} messages \
         in each room. Median of {ROUNDS} rounds of {} s, in turns; ratios are those within a round.\n\n\
         | what | people | bytes | reads/s | to /health/live | p50 ms | p99 ms |\n|---|---|---|---|---|---|---|\n",
        MEASURE.as_secs(),
    );
    let figures = |runs: &[Report]| {
        let of = |figure: fn(&Report) -> f64| median(runs.iter().map(figure).collect());
        let (rate, p50, p99) = (of(|run| run.rate), of(|run| run.p50_ms), of(|run| run.p99_ms));
        format!("{rate:.0} | {:.2} | {p50:.2} | {p99:.2}", ratio(runs, health))
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| /health/live | | | {} |", figures(health));
    for row in rows {
        let _ = writeln!(text, "| {} | {} | {} | {} |", row.what.name(), row.people, row.bytes, figures(&row.runs));
    }
    text
}
