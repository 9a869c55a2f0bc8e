//! Calls to Redis. Every call has a time limit and passes a circuit breaker.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult};
use tokio::sync::Mutex;

use crate::resilience::{Backoff, Breaker, BreakerPolicy, CallError};

/// A Redis that is away costs a reader a time limit or a refused connection; after so many it costs nothing.
pub const BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 5,
    window: Duration::from_secs(10),
    open: Backoff::new(Duration::from_millis(500), Duration::from_secs(15)),
    trials: 3,
};

/// Why Redis did not answer.
#[derive(Debug, thiserror::Error)]
pub enum RedisFailure {
    #[error("no answer within {0:?}")]
    Silent(Duration),
    #[error(transparent)]
    Redis(#[from] RedisError),
}

/// One connection, made when it is needed and given up after a failure.
pub struct Redis {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
    breaker: Breaker,
}

impl Redis {
    pub fn new(url: &str, breaker: Breaker) -> RedisResult<Self> {
        Ok(Self { client: Client::open(url)?, connection: Mutex::default(), breaker })
    }

    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    pub async fn ask<T: FromRedisValue>(
        &self,
        command: &Cmd,
        patience: Duration,
    ) -> Result<T, CallError<RedisFailure>> {
        self.call(patience, |mut connection| async move { command.query_async(&mut connection).await }).await
    }

    pub async fn run<T: FromRedisValue>(
        &self,
        commands: &Pipeline,
        patience: Duration,
    ) -> Result<T, CallError<RedisFailure>> {
        self.call(patience, |mut connection| async move { commands.query_async(&mut connection).await }).await
    }

    /// One call; connects first if there is no connection. A failed call leaves none.
    async fn call<T, F: Future<Output = RedisResult<T>>>(
        &self,
        patience: Duration,
        work: impl FnOnce(MultiplexedConnection) -> F,
    ) -> Result<T, CallError<RedisFailure>> {
        self.breaker
            .call(async {
                let working = async { work(self.connected().await?).await };
                let ended = match tokio::time::timeout(patience, working).await {
                    Ok(ended) => ended.map_err(RedisFailure::Redis),
                    Err(_) => Err(RedisFailure::Silent(patience)),
                };
                if ended.is_err() {
                    // Whoever connects anew holds the lock for no longer than its own time limit.
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
        // The time limits are those of the whole call.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        *held = Some(connection.clone());
        Ok(connection)
    }
}
