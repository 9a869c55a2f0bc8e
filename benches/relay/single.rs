//! One event at a time: from its commit in the log until a reader of the topic has it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use convoke::events::log::append::{AppendBatch, EventData, RoomAppend};
use convoke::events::log::{EventLog, chain};
use convoke::events::time::Clock;
use convoke::events::topic::record;
use convoke::ids::{Actor, CommandId, Position, RoomId, RoomKey, TenantId};
use hdrhistogram::Histogram;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::bare::{self, Bare};
use super::{PATIENCE, Relaying, relayed};
use crate::fixture::{Failure, Kafka, Postgres};

const PARTITIONS: i32 = 12;

pub struct Singles {
    pub relay_p50: f64,
    pub relay_p99: f64,
    pub bare_p50: f64,
    pub bare_p99: f64,
    pub transaction_p50: f64,
}

pub async fn measure(postgres: &Postgres, kafka: &Kafka, count: usize) -> Result<Singles, Failure> {
    let owner = postgres.owner().await?;
    let log = EventLog::new(owner.clone().into());
    let head = log.head().await?.position;
    let prefix = "single";
    let _relaying = Relaying::start(postgres, kafka, prefix)?;
    let begun = Instant::now();
    while relayed(&owner, prefix).await? < i64::try_from(head)? {
        if begun.elapsed() > PATIENCE {
            return Err("the relay does not catch up".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let arrivals = listen(kafka, &format!("{prefix}.events"), head)?;
    let mut relay = times()?;
    let mut writer = Writer::new(log);
    for number in 1..=count as u64 {
        writer.write().await?;
        let written = Instant::now();
        let (position, arrived) = arrivals.recv_timeout(PATIENCE)?;
        if position != head + number {
            return Err(format!("position {position} came in place of {}", head + number).into());
        }
        relay.saturating_record(micros(arrived.saturating_duration_since(written)));
    }
    let (bare, transactions) = bare_ones(kafka, &owner, count).await?;
    let ms = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(Singles {
        relay_p50: ms(&relay, 0.5),
        relay_p99: ms(&relay, 0.99),
        bare_p50: ms(&bare, 0.5),
        bare_p99: ms(&bare, 0.99),
        transaction_p50: ms(&transactions, 0.5),
    })
}

/// Until they were read, and the transactions alone.
async fn bare_ones(
    kafka: &Kafka,
    owner: &sqlx::PgPool,
    count: usize,
) -> Result<(Histogram<u64>, Histogram<u64>), Failure> {
    let producer = Bare::start(kafka, "bare-single").await?;
    let arrivals = listen(kafka, &producer.topic, 0)?;
    let (mut read, mut alone) = (times()?, times()?);
    for record in bare::records(owner, u32::try_from(count)?).await? {
        let begun = Instant::now();
        producer.transaction(std::iter::once(record))?;
        alone.saturating_record(micros(begun.elapsed()));
        let (_, arrived) = arrivals.recv_timeout(PATIENCE)?;
        read.saturating_record(micros(arrived - begun));
    }
    Ok((read, alone))
}

fn times() -> Result<Histogram<u64>, Failure> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Which position came when, of those behind one.
fn listen(kafka: &Kafka, topic: &str, after: Position) -> Result<Receiver<(Position, Instant)>, Failure> {
    let mut client = kafka.client();
    client.set("group.id", "bench").set("isolation.level", "read_committed").set("enable.auto.commit", "false");
    client.set("fetch.wait.max.ms", "10");
    let consumer: BaseConsumer = client.create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, PARTITIONS - 1);
    list.set_all_offsets(Offset::Beginning)?;
    consumer.assign(&list)?;
    let (tell, told) = channel();
    std::thread::spawn(move || {
        loop {
            let Some(Ok(message)) = consumer.poll(Duration::from_secs(1)) else { continue };
            let arrived = Instant::now();
            let Ok(mark) = record::mark(message.headers()) else { return };
            if mark.position > after && tell.send((mark.position, arrived)).is_err() {
                return;
            }
        }
    });
    Ok(told)
}

/// Writes events to one room.
struct Writer {
    log: EventLog,
    key: RoomKey,
    chain: convoke::events::envelope::Hash,
    version: u64,
}

impl Writer {
    fn new(log: EventLog) -> Self {
        let tenant = TenantId::new("bench").expect("a word is the name of a tenant");
        let key = RoomKey { tenant, room: RoomId::from_uuid(Uuid::now_v7()) };
        Self { log, key, chain: chain::START, version: 0 }
    }

    async fn write(&mut self) -> Result<(), Failure> {
        let event = EventData {
            event_type: "room.hand-raised",
            type_version: 1,
            occurred_at: None,
            actor: Actor::Key("bench".into()),
            session: None,
            command_id: CommandId::from_uuid(Uuid::now_v7()),
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            data: Arc::from(RawValue::from_string("{\"identity\":\"ann\"}".into())?),
            sealed: None,
        };
        let append = RoomAppend {
            unit: 0,
            key: self.key.clone(),
            expected: self.version,
            chain: self.chain,
            events: vec![event],
            names: Vec::new(),
            outcomes: Vec::new(),
        };
        let appended = self.log.append(&AppendBatch::new(Clock::system().now(), vec![append])).await?;
        let written = appended.rooms.first().and_then(Option::as_ref).ok_or("the event was not written")?;
        (self.version, self.chain) = (written.version, written.chain);
        Ok(())
    }
}
