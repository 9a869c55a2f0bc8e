//! The second layer: Redis, shared by the nodes. It only saves time: each reader judges its entries by its own knowledge of the
//! log. Every call has a time-out and passes a circuit breaker; a failed call counts as a miss.
//!
//! Keys: `convoke:cache:v<shape>:<tenant>:room:<id>:<part>`; the shape increases with the format of values. Values: a head of
//! fixed length with lineage and position, then JSON. A write replaces only older values.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::entry::{Key, Loaded, Value};
use super::head::{self, Head};
use super::pattern::Pattern;
use crate::config::CacheConfig;
use crate::projections::model::ReadModel as _;
use crate::projections::rooms::Rooms;
use crate::resilience::{self, Backoff, Breaker, BreakerPolicy, CallError};
use crate::telemetry::metrics::cache::{CacheMetrics, Layer, Outcome};

/// Counts up whenever the form of keys or values changes.
const SHAPE: u16 = 1;

/// The key space of the cache: leases and messages have others.
const SPACE: &str = "convoke:cache:";

/// Values that may wait to be written; further ones are left out.
const QUEUE: usize = 1_024;
/// Values that are written together.
const TOGETHER: usize = 64;
/// Larger values are read from the database by each node.
const LARGEST: usize = 1 << 20;

/// Keys looked at in one step of a `SCAN`.
const SCAN: usize = 1_000;
/// Of such a step, which is never a reader's.
const SCAN_PATIENCE: Duration = Duration::from_secs(5);

/// Redis away costs a reader a time-out or a refused connection; after so many it costs nothing.
pub const BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 5,
    window: Duration::from_secs(10),
    open: Backoff::new(Duration::from_millis(500), Duration::from_secs(15)),
    trials: 3,
};

/// Writes a value unless there is one of the same lineage that is as new. A head that is none, or of another lineage, gives way.
const PUT: &str = "
local held = redis.call('GETRANGE', KEYS[1], 0, 67)
if #held == 68 and string.sub(held, 1, 47) == string.sub(ARGV[1], 1, 47) then
    local there, new = tonumber(string.sub(held, 49, 68)), tonumber(string.sub(ARGV[1], 49, 68))
    if there and new and there >= new then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Why Redis did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    #[error("no answer within {0:?}")]
    Silent(Duration),
    #[error(transparent)]
    Redis(#[from] RedisError),
}

struct Written {
    key: String,
    value: Vec<u8>,
}

pub struct Shared {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    breaker: Breaker,
    timeout: Duration,
    life: Duration,
    queue: mpsc::Sender<Written>,
    metrics: CacheMetrics,
}

/// The write side of [`Shared`], to be run.
pub struct Writer {
    waiting: mpsc::Receiver<Written>,
}

impl Shared {
    /// `None` where no Redis is configured.
    pub fn new(
        config: &CacheConfig,
        breaker: impl FnOnce() -> Breaker,
        metrics: CacheMetrics,
    ) -> RedisResult<Option<(Self, Writer)>> {
        let Some(url) = &config.redis else { return Ok(None) };
        let client = Client::open(url.reveal())?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        let shared = Self {
            client,
            connection: Mutex::default(),
            breaker: breaker(),
            timeout: config.redis_timeout,
            life: config.life,
            queue,
            metrics,
        };
        Ok(Some((shared, Writer { waiting })))
    }

    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// What is there; `None` as well where Redis does not answer or the value is none of ours.
    pub async fn get(&self, key: &Key) -> Option<Loaded> {
        let found = match self.ask::<Option<Vec<u8>>>(Cmd::new().arg("GET").arg(name(key)), self.timeout).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "read from the cache in Redis failed");
                self.metrics.read(Layer::Redis, Outcome::Failed);
                return None;
            }
        };
        let read = found.and_then(|bytes| {
            let (Head { lineage, position, read_at }, json) = head::read(&bytes)?;
            let value = Value::from_json(key.part, json).ok()?;
            Some(Loaded { lineage: Some(lineage), position, read_at, value })
        });
        if read.is_none() {
            self.metrics.read(Layer::Redis, Outcome::Miss);
        }
        read
    }

    /// Has a value written, some time. What does not fit into the queue is left out.
    pub fn put(&self, key: &Key, loaded: &Loaded) {
        let Some(lineage) = loaded.lineage else { return };
        let Ok(json) = loaded.value.to_json() else { return };
        if json.len() > LARGEST {
            return;
        }
        let mut value = head::write(&Head { lineage, position: loaded.position, read_at: loaded.read_at }).into_bytes();
        value.extend_from_slice(&json);
        if self.queue.try_send(Written { key: name(key), value }).is_err() {
            self.metrics.written("left-out", 1);
        }
    }

    /// Takes out what a pattern names, of every shape; how many there were.
    pub async fn forget(&self, pattern: &Pattern) -> Result<u64, CallError<SharedError>> {
        let tenant = pattern.tenant().map_or("*", |tenant| tenant.as_str());
        let wanted = format!("{SPACE}v*:{tenant}:{}", pattern.glob());
        let (mut cursor, mut taken) = (0u64, 0u64);
        loop {
            let mut scan = Cmd::new();
            scan.arg("SCAN").arg(cursor).arg("MATCH").arg(&wanted).arg("COUNT").arg(SCAN);
            let (next, names): (u64, Vec<String>) = self.ask(&scan, SCAN_PATIENCE).await?;
            if !names.is_empty() {
                taken += self.ask::<u64>(Cmd::new().arg("UNLINK").arg(names), SCAN_PATIENCE).await?;
            }
            if next == 0 {
                return Ok(taken);
            }
            cursor = next;
        }
    }

    /// Bytes that the whole Redis uses, and those it may use; 0: no bound.
    pub async fn memory(&self) -> Option<(u64, u64)> {
        let told: String = self.ask(Cmd::new().arg("INFO").arg("memory"), self.timeout).await.ok()?;
        let field = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        Some((field("used_memory:")?, field("maxmemory:").unwrap_or_default()))
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd, patience: Duration) -> Result<T, CallError<SharedError>> {
        self.call(patience, |mut connection| async move { command.query_async(&mut connection).await }).await
    }

    /// One call, connecting included where there is no connection. One that failed leaves none.
    async fn call<T, F: Future<Output = RedisResult<T>>>(
        &self,
        patience: Duration,
        work: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, CallError<SharedError>> {
        self.breaker
            .call(async {
                let working = async { work(self.connected().await?).await };
                let ended = match tokio::time::timeout(patience, working).await {
                    Ok(ended) => ended.map_err(SharedError::Redis),
                    Err(_) => Err(SharedError::Silent(patience)),
                };
                if ended.is_err() {
                    // Whoever connects anew holds it for no longer than its own patience.
                    if let Ok(mut held) = self.connection.try_lock() {
                        *held = None;
                    }
                }
                ended
            })
            .await
    }

    async fn connected(&self) -> RedisResult<MultiplexedConnection> {
        let mut held = self.connection.lock().await;
        if let Some(connection) = &*held {
            return Ok(connection.clone());
        }
        // The time-outs are those of the whole call.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        *held = Some(connection.clone());
        Ok(connection)
    }

    async fn write(&self, values: &[Written]) {
        let mut pipeline = Pipeline::with_capacity(values.len());
        for Written { key, value } in values {
            let life = resilience::shortened(self.life).as_millis().max(1);
            let life = u64::try_from(life).unwrap_or(u64::MAX);
            pipeline.cmd("EVAL").arg(PUT).arg(1).arg(key).arg(value).arg(life);
        }
        let pipeline = &pipeline;
        let wrote: Result<Vec<u64>, _> =
            self.call(self.timeout, |mut connection| async move { pipeline.query_async(&mut connection).await }).await;
        match wrote {
            Ok(wrote) => {
                let newer = wrote.iter().sum::<u64>();
                self.metrics.written("written", newer);
                self.metrics.written("older", wrote.len() as u64 - newer);
            }
            Err(error) => {
                tracing::debug!(%error, "write to the cache in Redis failed");
                self.metrics.written("failed", values.len() as u64);
            }
        }
    }
}

impl Writer {
    /// Writes what comes, until told to stop. What waits then is left out.
    pub async fn run(mut self, shared: Arc<Shared>, stop: CancellationToken) {
        let mut values = Vec::with_capacity(TOGETHER);
        loop {
            tokio::select! {
                taken = self.waiting.recv_many(&mut values, TOGETHER) => if taken == 0 { return },
                () = stop.cancelled() => return,
            }
            shared.write(&values).await;
            values.clear();
        }
    }
}

fn name(key: &Key) -> String {
    format!("{SPACE}v{SHAPE}.{}:{}:{}", Rooms::SHAPE, key.room.tenant, key.name())
}
