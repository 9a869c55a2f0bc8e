//! What was measured, told.

use std::fmt::Write as _;

use super::work::{BATCH, Round};
use crate::fixture::{Promise, median};

/// Of the smallest log, at most or at least.
const COST: f64 = 1.2;
const REBUILD: f64 = 0.8;

/// A log of some size.
pub struct Size {
    pub events: u64,
    pub rounds: Vec<Round>,
    /// Events a second.
    pub rebuilds: Vec<f64>,
    pub archive: Archived,
    fill: f64,
    table_bytes: u64,
    index_bytes: u64,
}

/// What archiving came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Archived {
    /// Events a second.
    pub rate: f64,
    /// Of an event in the files.
    pub bytes: f64,
}

impl Size {
    pub fn new(events: u64, fill: f64, (table_bytes, index_bytes): (u64, u64)) -> Self {
        Self {
            events,
            rounds: Vec::new(),
            rebuilds: Vec::new(),
            archive: Archived::default(),
            fill,
            table_bytes,
            index_bytes,
        }
    }

    /// The middle of the rounds.
    fn of_rounds(&self, value: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(value).collect())
    }

    /// Events that came in the rounds.
    pub fn appended(&self) -> u64 {
        self.rounds.iter().map(|round| round.appended).sum()
    }

    /// The middle one.
    pub fn rebuild(&self) -> f64 {
        median(self.rebuilds.clone())
    }

    pub fn append(&self) -> f64 {
        self.of_rounds(|round| round.append_rate)
    }

    pub fn single_ms(&self, share: f64) -> f64 {
        self.of_rounds(|round| percentile(&round.single_ms, share))
    }

    pub fn read_ms(&self, share: f64) -> f64 {
        self.of_rounds(|round| percentile(&round.reads_ms, share))
    }

    /// Of reads that were read just before.
    pub fn read_again_ms(&self) -> f64 {
        self.of_rounds(|round| percentile(&round.reads_again_ms, 0.5))
    }

    pub fn view_again_ms(&self) -> f64 {
        self.of_rounds(|round| percentile(&round.views_again_ms, 0.5))
    }

    pub fn view_ms(&self, share: f64) -> f64 {
        self.of_rounds(|round| percentile(&round.views_ms, share))
    }

    pub fn tail(&self) -> f64 {
        self.of_rounds(|round| round.tail_rate)
    }

    pub fn table_bytes(&self) -> f64 {
        self.table_bytes as f64 / self.events as f64
    }

    pub fn index_bytes(&self) -> f64 {
        self.index_bytes as f64 / self.events as f64
    }
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// Of the largest log to the smallest; none where there is one log only.
pub fn promises(sizes: &[Size]) -> Vec<Promise> {
    let [small, .., large] = sizes else { return Vec::new() };
    let names = format!("{} events to {}", grouped(large.events), grouped(small.events));
    vec![
        Promise::at_most(format!("time of an append, batches, {names}"), small.append() / large.append(), COST),
        Promise::at_most(
            format!("time of a single append, {names}"),
            large.single_ms(0.5) / small.single_ms(0.5),
            COST,
        ),
        Promise::at_most(
            format!("time to a room at a version, median, {names}"),
            large.view_ms(0.5) / small.view_ms(0.5),
            COST,
        ),
        Promise::at_most(
            format!("time to 50 events of a room, median, {names}"),
            large.read_ms(0.5) / small.read_ms(0.5),
            COST,
        ),
        Promise::at_least(format!("events/s of a rebuild, {names}"), large.rebuild() / small.rebuild(), REBUILD),
    ]
}

pub fn text(sizes: &[Size], machine: &str) -> String {
    let events = sizes.iter().map(|size| size.events.to_string()).collect::<Vec<_>>().join(",");
    let mut text = format!(
        "## How costs grow with the log\n\n`make bench-growth EVENTS={events}`: {machine}. Logs of made-up events over 24 monthly \
         partitions: meetings (60 %), broadcasts to hundreds (10 %), classes that meet for years (25 %), lounges (5 %), in 20 \
         tenants, chained as the program chains. Reads, tails and appends through the log's own functions, on all logs in \
         turns: the middle of the rounds. Rooms and their versions are random, one room in five has lived for years; \
         they are read as states at a version, with the snapshots that such rooms have, and as 50 events from a version on; \
         then all of them again, when what they need is in memory: a log that is larger than that is otherwise read from its disk. \
         A tail reads on from an old cursor, 2000 events at a time. Appends are batches of an event for each of {BATCH} \
         rooms, or single. `convoke projection rebuild` and `convoke archive run` (all months but the present one) from \
         their start to their end.\n\n![](growth.svg)\n\n",
    );
    type Row = (&'static str, usize, fn(&Size) -> f64);
    let rows: [Row; 18] = [
        ("append, batches, events/s", 0, Size::append),
        ("append, single, ms p50", 2, |size| size.single_ms(0.5)),
        ("append, single, ms p99", 2, |size| size.single_ms(0.99)),
        ("a room at a version, ms p50", 3, |size| size.view_ms(0.5)),
        ("a room at a version, ms p99", 3, |size| size.view_ms(0.99)),
        ("the same again, ms p50", 3, Size::view_again_ms),
        ("50 events of a room, ms p50", 3, |size| size.read_ms(0.5)),
        ("50 events of a room, ms p99", 3, |size| size.read_ms(0.99)),
        ("the same again, ms p50", 3, Size::read_again_ms),
        ("tail from an old cursor, events/s", 0, Size::tail),
        ("rebuild of all read models, events/s", 0, Size::rebuild),
        ("archiving, events/s", 0, |size| size.archive.rate),
        ("filled (without the program), events/s", 0, |size| size.fill),
        ("bytes an event in the log's tables", 0, Size::table_bytes),
        ("bytes an event in their indexes", 0, Size::index_bytes),
        ("bytes an event in PostgreSQL in all", 0, |size| size.table_bytes() + size.index_bytes()),
        ("bytes an event in archives", 0, |size| size.archive.bytes),
        ("GiB in PostgreSQL in all", 2, |size| (size.table_bytes + size.index_bytes) as f64 / f64::from(1 << 30)),
    ];
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "| events |{}",
        sizes.iter().map(|size| format!(" {} |", grouped(size.events))).collect::<String>()
    );
    let _ = writeln!(text, "|---|{}", "---|".repeat(sizes.len()));
    for (what, digits, value) in rows {
        let values = sizes.iter().map(|size| format!(" {:.digits$} |", value(size))).collect::<String>();
        let _ = writeln!(text, "| {what} |{values}");
    }
    text
}

/// 10,000,000.
pub fn grouped(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}
