//! Periodic maintenance of the log: creates partitions ahead of time and drops expired outcomes.
//!
//! Any number of processes may run this. For each task one of them gets a lock in the database, for the duration of its
//! transaction, so that a process that dies holds no lock. When the database is unavailable, the task waits and retries.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{EventLog, LogError};
use crate::config::LogConfig;
use crate::database::timeout::with_timeout;
use crate::events::time::{Clock, Timestamp};

/// Between two rounds, at most.
const ROUND: Duration = Duration::from_secs(60);
/// At least, for outcomes that live for seconds.
const SHORTEST_ROUND: Duration = Duration::from_millis(500);
/// A round takes no longer, where anybody answers.
const ROUND_TIMEOUT: Duration = Duration::from_secs(120);
/// How long appends may queue behind the cleaning of outcomes before it steps back until the next round.
const LOCK_PATIENCE: &str = "SET LOCAL lock_timeout = '200ms'";
/// The part of the configured runway below which the process is not ready any more. Well before the end, so that there is
/// time to act; well below what a working maintenance leaves, so that it does not cry without need.
const SHORT: u32 = 10;

#[derive(Clone)]
pub struct Maintenance {
    log: EventLog,
    config: LogConfig,
    clock: Clock,
}

/// How far the partitions reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runway {
    Enough(Duration),
    /// Less than a tenth of what is configured; zero where the present has no partition.
    Short(Duration),
}

impl Runway {
    /// Until the end of the partitions made ahead.
    pub fn left(self) -> Duration {
        match self {
            Runway::Enough(left) | Runway::Short(left) => left,
        }
    }
}

impl Maintenance {
    pub fn new(log: EventLog, config: LogConfig, clock: Clock) -> Self {
        Self { log, config, clock }
    }

    /// Before anything is appended: partitions for now and for the runway, or an error.
    pub async fn prepare(&self) -> Result<(), LogError> {
        let now = self.clock.now();
        // Recorded time never goes back: the log may be ahead of the clock.
        let newest = self.log.head().await?.recorded_at.map_or(now, |recorded| recorded.max(now));
        let runway = i64::try_from(self.config.partition_runway.as_secs()).unwrap_or(i64::MAX);
        let until = newest.plus_seconds(runway);
        let made = self.log.ensure_partitions(self.config.partition_unit, now, until).await?;
        if !made.is_empty() {
            tracing::info!(partitions = made.join(", "), "created partitions of the log");
        }
        Ok(())
    }

    pub async fn runway(&self) -> Result<Runway, LogError> {
        let now = self.clock.now();
        let until = self.log.covered_until(now).await?;
        let left = Duration::from_secs(until.map_or(0, |until: Timestamp| until.seconds_since(now)));
        Ok(if left < self.config.partition_runway / SHORT { Runway::Short(left) } else { Runway::Enough(left) })
    }

    pub async fn run(self, stop: CancellationToken) {
        let round = (self.config.idempotency_ttl / 8).clamp(SHORTEST_ROUND, ROUND);
        let mut health = RoundState::default();
        loop {
            let done = tokio::select! {
                done = with_timeout(ROUND_TIMEOUT, self.round(&mut health)) => done,
                () = stop.cancelled() => return,
            };
            match done {
                Ok(()) if std::mem::take(&mut health.failing) => {
                    tracing::info!("maintenance of the log recovered");
                }
                Ok(()) => {}
                Err(error) => {
                    tracing::error!(%error, "maintenance of the log failed, retrying");
                    health.failing = true;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(round) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn round(&self, health: &mut RoundState) -> Result<(), LogError> {
        if !health.ttl_is_set {
            let ttl = i32::try_from(self.config.idempotency_ttl.as_secs()).unwrap_or(i32::MAX);
            sqlx::query("SELECT convoke.set_outcome_ttl($1)").bind(ttl).execute(self.log.pool()).await?;
            health.ttl_is_set = true;
        }
        self.prepare().await?;
        self.clean_outcomes().await
    }

    /// One process at a time, and never in the way of appends for long.
    async fn clean_outcomes(&self) -> Result<(), LogError> {
        let mut transaction = self.log.pool().begin().await?;
        sqlx::query(LOCK_PATIENCE).execute(&mut *transaction).await?;
        let elected: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtext('convoke.clean_outcomes'))")
            .fetch_one(&mut *transaction)
            .await?;
        if !elected {
            return Ok(());
        }
        let cleaned = sqlx::query_scalar("SELECT convoke.clean_outcomes()").fetch_one(&mut *transaction).await;
        match cleaned {
            Ok(cleaned) => {
                transaction.commit().await?;
                if cleaned {
                    tracing::debug!("dropped expired outcomes");
                }
                Ok(())
            }
            Err(error) if is_lock_timeout(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a round leaves for the next.
#[derive(Default)]
struct RoundState {
    failing: bool,
    ttl_is_set: bool,
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}
