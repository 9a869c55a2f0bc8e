//! Import of a history, beside a bare program that inserts the very same rows, a thousand at a time, into a table with the
//! columns, partitions and indexes of the log, on the same server with the same settings.

mod history;
mod peer;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sqlx::Executor as _;
use tokio::process::Command;

use crate::fixture::{Failure, Postgres, Promise, machine, median, tell};
use peer::ROWS;

/// Names a history to import instead of the made-up one.
const GIVEN: &str = "CONVOKE_BENCH_HISTORY";
const LINES: u64 = 600_000;
const ROUNDS: usize = 3;

/// Of the rate of the bare inserts.
const TO_INSERTS: f64 = 0.6;

struct Round {
    import: Duration,
    inserts: Duration,
    events: u64,
}

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let given = std::env::var_os(GIVEN).map(PathBuf::from);
    let rounds = if given.is_some() { 1 } else { ROUNDS };
    let mut measured = Vec::new();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        // Recorded times are taken as occurred only into an empty log.
        let postgres = Postgres::fresh("import").await?;
        let result = measure(&postgres, given.clone()).await;
        postgres.stop().await;
        measured.push(result?);
    }
    let events = measured[0].events;
    let rate = |took: fn(&Round) -> Duration| {
        median(measured.iter().map(|round| round.events as f64 / took(round).as_secs_f64()).collect())
    };
    let (import, inserts) = (rate(|round| round.import), rate(|round| round.inserts));
    let promises =
        vec![Promise::at_least("rows/s of an import, to bare inserts of the same rows", import / inserts, TO_INSERTS)];
    let what = match &given {
        Some(path) => format!("`{}`", path.file_name().unwrap_or_default().display()),
        None => format!("{LINES} made-up lines of two years in {} rooms", history::ROOMS),
    };
    let text = format!(
        "## Import of a history\n\n{}. {what}: {events} events. `convoke import --recorded-as-occurred`, from its start to its \
         end, beside one connection that inserts the rows which that gave, ready in memory, {ROWS} a transaction; the middle \
         of {rounds} runs.\n\n| | rows/s |\n|---|---|\n| `INSERT … SELECT FROM unnest(…)` of {ROWS} rows | {inserts:.0} |\n\
         | `convoke import` | {import:.0} |",
        machine(),
    );
    tell("import", &text, &promises)?;
    Ok(promises)
}

async fn measure(postgres: &Postgres, given: Option<PathBuf>) -> Result<Round, Failure> {
    let owner = postgres.owner().await?;
    let file = match given {
        Some(path) => std::path::absolute(path)?,
        None => history::write(&postgres.folder.join("history.ndjson.zst"), LINES)?,
    };
    owner.execute("CHECKPOINT").await?;
    let import = import(postgres, &file).await?;
    peer::prepare(&owner).await?;
    owner.execute("CHECKPOINT").await?;
    let (inserts, events) = peer::insert_all(&owner).await?;
    owner.close().await;
    Ok(Round { import, inserts, events })
}

async fn import(postgres: &Postgres, file: &std::path::Path) -> Result<Duration, Failure> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
    command.args(["import", "--tenant", "bench", "--recorded-as-occurred"]).arg(file);
    command.env("DATABASE_URL", postgres.url()).current_dir(&postgres.folder).stdin(Stdio::null());
    let began = Instant::now();
    let output = command.output().await?;
    let took = began.elapsed();
    eprint!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() { Ok(took) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned().into()) }
}
