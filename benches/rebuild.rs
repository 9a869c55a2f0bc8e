//! A rebuild of all read models, beside the rate at which `psql` reads the log out by binary `COPY` and throws it away.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;

use crate::fixture::{Failure, Postgres, Promise, fill, machine, median, tell};

const ROUNDS: usize = 3;
const EVENTS: u32 = 2_000_000;
const ROOMS: u32 = 200;

/// Of the rate of `COPY`.
const TO_COPY: f64 = 0.333;

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let postgres = Postgres::fresh("rebuild").await?;
    let measured = measure(&postgres).await;
    postgres.stop().await;
    let rounds = measured?;
    let copy = median(rounds.iter().map(|round| rate(round.copy)).collect());
    let rebuild = median(rounds.iter().map(|round| rate(round.rebuild)).collect());
    let promises =
        vec![Promise::at_least("events/s of a rebuild, to `COPY … TO` binary of the log", rebuild / copy, TO_COPY)];
    let text = format!(
        "## Rebuild of all read models\n\n{}. {EVENTS} events in {ROOMS} rooms (a third joins, a third leaves, a third \
         messages) over 24 monthly partitions. `convoke projection rebuild`, from its start to its end, with indexes, the \
         comparison with the live rows and the swap; the middle of {ROUNDS} runs.\n\n| | events/s |\n|---|---|\n\
         | `COPY (SELECT * FROM convoke.log) TO STDOUT` binary, by `psql` to nowhere | {copy:.0} |\n\
         | `convoke projection rebuild` | {rebuild:.0} |",
        machine(),
    );
    tell("rebuild", &text, &promises)?;
    Ok(promises)
}

struct Round {
    copy: Duration,
    rebuild: Duration,
}

fn rate(took: Duration) -> f64 {
    f64::from(EVENTS) / took.as_secs_f64()
}

async fn measure(postgres: &Postgres) -> Result<Vec<Round>, Failure> {
    fill(postgres, EVENTS, ROOMS).await?;
    // The first one makes the live rows that the others are compared with.
    rebuild(postgres).await?;
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        rounds.push(Round { copy: copy(postgres).await?, rebuild: rebuild(postgres).await? });
    }
    Ok(rounds)
}

async fn copy(postgres: &Postgres) -> Result<Duration, Failure> {
    let mut command = Command::new(postgres.programs.join("psql"));
    command.arg(postgres.url());
    command.args(["--command", "COPY (SELECT * FROM convoke.log) TO STDOUT WITH (FORMAT binary)"]);
    time(command).await
}

async fn rebuild(postgres: &Postgres) -> Result<Duration, Failure> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
    command.args(["projection", "rebuild"]).env("DATABASE_URL", postgres.url()).current_dir(&postgres.folder);
    time(command).await
}

async fn time(mut command: Command) -> Result<Duration, Failure> {
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output().await?;
    let took = began.elapsed();
    if output.status.success() { Ok(took) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned().into()) }
}
