//! The relay: how fast it catches up, beside a bare transactional producer that sends the same records in the same batches; and
//! how soon a single event is in the topic, beside a bare transaction of one record.

mod bare;
mod single;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::PgPool;

use crate::fixture::{Failure, Kafka, Postgres, Promise, fill, machine, median, tell};
use bare::Bare;

const ROUNDS: usize = 3;
const EVENTS: u32 = 200_000;
const ROOMS: u32 = 200;
/// As `CONVOKE_RELAY_BATCH` is by default.
const BATCH: usize = 2_000;
const SINGLES: usize = 300;

/// Of the rate of the bare producer.
const TO_BARE: f64 = 0.6;
/// Of the time of a bare transaction of one record.
const SINGLE_TO_BARE: f64 = 3.0;

const PATIENCE: Duration = Duration::from_secs(120);

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let kafka = Kafka::fresh("relay-kafka").await?;
    let postgres = Postgres::fresh("relay").await?;
    let measured = measure(&postgres, &kafka).await;
    postgres.stop().await;
    let measured = measured?;
    let (relay, bare) = (median(measured.relay), median(measured.bare));
    let singles = measured.singles;
    let promises = vec![
        Promise::at_least("events/s of the relay, to a bare transactional producer", relay / bare, TO_BARE),
        Promise::at_most(
            "median from the log's commit to a reader of the topic, to a bare transaction of one record, begun to read",
            singles.relay_p50 / singles.bare_p50,
            SINGLE_TO_BARE,
        ),
    ];
    let text = format!(
        "## Relay to Kafka\n\n{}. Apache Kafka (one process), PostgreSQL and relay share the machine. Catching up: {EVENTS} events in \
         {ROOMS} rooms, transactions of {BATCH} at most; the bare producer is librdkafka with the same settings and the same \
         records, made before. The middle of {ROUNDS} runs, in turns. Single events: {SINGLES}, one after another, to a log \
         with its relay in another process; times until a reader of committed records has it.\n\n| | |\n|---|---|\n\
         | `convoke serve --roles relay`, events/s | {relay:.0} |\n| bare producer, records/s | {bare:.0} |\n\
         | event appended until read from the topic, ms p50 / p99 | {:.2} / {:.2} |\n\
         | bare transaction begun until its record is read, ms p50 / p99 | {:.2} / {:.2} |\n\
         | bare transaction alone, ms p50 | {:.2} |",
        machine(),
        singles.relay_p50,
        singles.relay_p99,
        singles.bare_p50,
        singles.bare_p99,
        singles.transaction_p50,
    );
    tell("relay", &text, &promises)?;
    Ok(promises)
}

struct Measured {
    relay: Vec<f64>,
    bare: Vec<f64>,
    singles: single::Singles,
}

async fn measure(postgres: &Postgres, kafka: &Kafka) -> Result<Measured, Failure> {
    fill(postgres, EVENTS, ROOMS).await?;
    let owner = postgres.owner().await?;
    let (mut relay, mut bare) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        let records = bare::records(&owner, EVENTS).await?;
        bare.push(Bare::start(kafka, &format!("bare{round}")).await?.send(records, BATCH)?);
        relay.push(catch_up(postgres, kafka, &owner, &format!("relay{round}")).await?);
    }
    let singles = single::measure(postgres, kafka, SINGLES).await?;
    Ok(Measured { relay, bare, singles })
}

/// A process that is the relay, under a prefix of its own. Ends with the value.
pub struct Relaying(Child);

impl Relaying {
    pub fn start(postgres: &Postgres, kafka: &Kafka, prefix: &str) -> Result<Self, Failure> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_convoke"));
        command
            .args(["serve", "--roles", "relay"])
            .env("DATABASE_URL", postgres.url())
            .env("KAFKA_BROKERS", &kafka.brokers)
            .env("CONVOKE_KAFKA_PREFIX", prefix)
            .env("CONVOKE_HTTP_LISTEN", "127.0.0.1:0")
            .env("CONVOKE_DATA_DIR", postgres.folder.join("serve"))
            .env("CONVOKE_LOG_LEVEL", "warn");
        Ok(Self(command.current_dir(&postgres.folder).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?))
    }
}

impl Drop for Relaying {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the topic stands.
pub async fn relayed(owner: &PgPool, prefix: &str) -> Result<i64, Failure> {
    let found = sqlx::query_scalar("SELECT position FROM convoke.relays WHERE topic = $1")
        .bind(format!("{prefix}.events"))
        .fetch_optional(owner)
        .await?;
    Ok(found.unwrap_or(0))
}

/// Events a second, from the first transaction that is seen to the last.
async fn catch_up(postgres: &Postgres, kafka: &Kafka, owner: &PgPool, prefix: &str) -> Result<f64, Failure> {
    let _relaying = Relaying::start(postgres, kafka, prefix)?;
    let begun = Instant::now();
    let mut first: Option<(i64, Instant)> = None;
    while begun.elapsed() < PATIENCE {
        let at = relayed(owner, prefix).await?;
        let now = Instant::now();
        match first {
            None if at > 0 => first = Some((at, now)),
            Some((from, since)) if at >= i64::from(EVENTS) => {
                return Ok((at - from) as f64 / (now - since).as_secs_f64());
            }
            None | Some(_) => {}
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("the relay does not catch up".into())
}
