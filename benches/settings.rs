//! What the private server's settings give: commands over many rooms with all of them, and with one of them, or a few that belong
//! together, as PostgreSQL has them by itself.
//!
//! ```text
//! cargo bench -- settings
//! cargo bench -- settings jit wal_compression
//! ```
//!
//! Takes a quarter of an hour: it runs only when it is named.

use std::fmt::Write as _;
use std::time::Duration;

use crate::fixture::{Failure, Postgres, Promise, Served, machine, median, tell};
use crate::load::{Load, Report, Until, Work};

const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 256;
const ROOMS_EACH: usize = 8;

/// Settings as PostgreSQL 15 has them by itself.
struct Variant {
    settings: &'static [&'static str],
    /// What comes of a setting only when checkpoints or vacuums have come takes longer to be seen.
    measure: Duration,
}

const SHORT: Duration = Duration::from_secs(8);
const LONG: Duration = Duration::from_secs(60);

const VARIANTS: &[Variant] = &[
    Variant { settings: &["jit=on"], measure: SHORT },
    Variant { settings: &["shared_buffers=128MB"], measure: SHORT },
    Variant { settings: &["wal_compression=off"], measure: SHORT },
    Variant { settings: &["random_page_cost=4"], measure: SHORT },
    Variant { settings: &["effective_io_concurrency=1"], measure: SHORT },
    Variant { settings: &["work_mem=4MB", "effective_cache_size=4GB"], measure: SHORT },
    Variant { settings: &["max_wal_size=1GB", "min_wal_size=80MB", "checkpoint_timeout=5min"], measure: LONG },
    Variant { settings: &["autovacuum_naptime=1min", "autovacuum_vacuum_cost_delay=2ms"], measure: LONG },
];

struct Row {
    variant: &'static Variant,
    with_ours: Vec<Report>,
    with_theirs: Vec<Report>,
}

/// `named`: beginnings of settings; none means all.
pub async fn run(named: &[String]) -> Result<Vec<Promise>, Failure> {
    let wanted = |variant: &&Variant| {
        let mut settings = variant.settings.iter();
        named.is_empty() || settings.any(|setting| named.iter().any(|name| setting.starts_with(name.as_str())))
    };
    let mut rows = Vec::new();
    for variant in VARIANTS.iter().filter(wanted) {
        let mut row = Row { variant, with_ours: Vec::new(), with_theirs: Vec::new() };
        for round in 1..=ROUNDS {
            eprintln!("{}, round {round} of {ROUNDS}", variant.settings.join(", "));
            row.with_ours.push(load(&[], variant.measure).await?);
            row.with_theirs.push(load(variant.settings, variant.measure).await?);
        }
        println!("{}", told_row(&row));
        rows.push(row);
    }
    // A part would take the place of the whole table.
    if named.is_empty() {
        tell("settings", &summary(&rows), &[])?;
    }
    Ok(Vec::new())
}

/// On a server of its own, whose log is empty.
async fn load(settings: &[&str], measure: Duration) -> Result<Report, Failure> {
    let postgres = Postgres::fresh_with("settings", settings).await?;
    let served = Served::start(&postgres).await?;
    let (work, until) = (Work::RoomsEach(ROOMS_EACH), Until::Time { warm_up: WARM_UP, measure });
    let load = Load { address: served.address, token: Served::token()?, connections: CONNECTIONS, work, until };
    let report = load.run().await?.clean()?;
    served.stop().await?;
    postgres.stop().await;
    Ok(report)
}

fn of(runs: &[Report], figure: fn(&Report) -> f64) -> f64 {
    median(runs.iter().map(figure).collect())
}

fn told_row(row: &Row) -> String {
    let (ours, theirs) = (of(&row.with_ours, |run| run.rate), of(&row.with_theirs, |run| run.rate));
    let (p99_ours, p99_theirs) = (of(&row.with_ours, |run| run.p99_ms), of(&row.with_theirs, |run| run.p99_ms));
    let settings = row.variant.settings.iter().map(|setting| format!("`{setting}`")).collect::<Vec<_>>().join(", ");
    let (seconds, ratio) = (row.variant.measure.as_secs(), theirs / ours);
    format!("| {settings} | {seconds} | {ours:.0} | {theirs:.0} | {ratio:.2} | {p99_ours:.1} | {p99_theirs:.1} |")
}

fn summary(rows: &[Row]) -> String {
    let mut text = format!(
        "## Settings of the private server\n\n`cargo bench -- settings`: {}. Commands over many rooms, as above, by \
         {CONNECTIONS} connections over {} rooms; on a private server as it is, and on one where what is named is as PostgreSQL \
         has it by itself. Each run on an empty log of its own; median of {ROUNDS} rounds, in turns.\n\n",
        machine(),
        CONNECTIONS * ROOMS_EACH,
    );
    text.push_str("| as PostgreSQL has it | s | rate /s, ours | theirs | ratio | p99 ms, ours | theirs |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for row in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", told_row(row));
    }
    text
}
