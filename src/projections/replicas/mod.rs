//! Read replicas: selects one that has replayed the position that a reader asks for.
//!
//! Each replica is polled for the checkpoints of its read models. A replica is excluded if it does not answer, lags behind the
//! primary by more than the configured time, or is ahead of it (a restored primary, another epoch). It is included again
//! automatically. A reader names the model and the least position; if no replica has it, the read goes to the primary. If a query
//! on a replica fails, the replica is excluded at once and the primary answers. A circuit breaker around each replica stops
//! repeated failures.

mod progress;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::Row as _;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checkpoint::position;
use crate::database::pool::{self, Pool};
use crate::database::timeout::with_timeout;
use crate::ids::Position;
use crate::resilience::{Backoff, Breaker, BreakerPolicy, BreakerState, Breakers, CallError};
use crate::telemetry::metrics::Metrics;
use progress::{DatabaseProgress, PrimaryHistory, unfit};

/// Between two questions to a replica.
const ROUND: Duration = Duration::from_millis(200);
/// One that takes longer to answer is left out.
const POLL_TIMEOUT: Duration = Duration::from_secs(1);
/// An answer is believed for so long.
const FRESH: Duration = Duration::from_secs(3);
/// A replica that takes longer over a reader's question is left out, and the primary asked. Readers wait for both.
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// A replica that answers looks and fails readers costs each of them [`READ_TIMEOUT`], until so many have failed.
const BREAKER: BreakerPolicy = BreakerPolicy {
    failures: 3,
    window: Duration::from_secs(30),
    open: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
    trials: 2,
};

/// A replica, as it answered last.
struct Replica {
    /// Its place in the setting, from 1: labels metrics, and names no host.
    number: String,
    pool: Pool,
    breaker: Breaker,
    seen: Mutex<LastPoll>,
}

struct LastPoll {
    at: Instant,
    /// What it said; `None`: it did not answer.
    progress: Option<DatabaseProgress>,
    /// Why it is not to be read from.
    left_out: Option<String>,
}

/// All that health says of an error: the database's own words may name hosts and users, and are for the log.
const SILENT: &str = "it does not answer";

const NOT_ASKED: &str = "it was not asked yet";

/// What it has is compared with what the primary says afterwards: that takes a second answer.
const ANSWERED_ONCE: &str = "it has answered once";

impl Replica {
    fn seen(&self) -> MutexGuard<'_, LastPoll> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of what it said last, where it can be read from; else why it cannot.
    fn fit<T>(&self, of: impl FnOnce(&DatabaseProgress) -> T) -> Result<T, String> {
        let seen = self.seen();
        match (&seen.left_out, &seen.progress) {
            (None, Some(read_progress)) if seen.at.elapsed() < FRESH => Ok(of(read_progress)),
            (why, _) => Err(why.clone().unwrap_or_else(|| "it has not answered for a while".into())),
        }
    }

    fn failed(&self) {
        *self.seen() = LastPoll { at: Instant::now(), progress: None, left_out: Some(SILENT.into()) };
    }
}

/// Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Replicas {
    primary: Pool,
    all: Arc<[Replica]>,
    /// How far behind the primary a replica may be.
    lag: Duration,
    turn: Arc<AtomicUsize>,
    metrics: Metrics,
}

/// A replica to read from, and the position that its model contains for certain.
#[derive(Clone)]
pub struct ChosenReplica {
    pub reached: Position,
    number: usize,
}

impl Replicas {
    pub fn new(primary: Pool, pools: Vec<Pool>, lag: Duration, breakers: &Breakers, metrics: Metrics) -> Self {
        let replica = |(number, pool): (usize, Pool)| Replica {
            number: (number + 1).to_string(),
            pool,
            breaker: breakers.around(&format!("replica-{}", number + 1), BREAKER),
            seen: Mutex::new(LastPoll { at: Instant::now(), progress: None, left_out: Some(NOT_ASKED.into()) }),
        };
        let all: Arc<[Replica]> = pools.into_iter().enumerate().map(replica).collect();
        Self { primary, all, lag, turn: Arc::default(), metrics }
    }

    /// There are none.
    pub fn none(primary: Pool, metrics: Metrics) -> Self {
        Self { primary, all: Arc::default(), lag: Duration::ZERO, turn: Arc::default(), metrics }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// One on which the model has come to the position, in turns; `None`: only the primary has it for certain.
    pub fn having(&self, model: &str, wanted: Position) -> Option<ChosenReplica> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..self.all.len()).map(|step| (turn + step) % self.all.len());
        let reached = |number: usize| self.all[number].fit(|progress| progress.of(model)).ok();
        let found = in_turn.filter_map(|number| Some(ChosenReplica { number, reached: reached(number)? }));
        // One whose breaker is open is chosen where there is no other: that is how it is tried.
        found
            .filter(|chosen| chosen.reached >= wanted)
            .min_by_key(|chosen| self.all[chosen.number].breaker.state() == BreakerState::Open)
    }

    /// Puts a question to the chosen replica; `None`: it is not to be asked now, or failed and is left out until it does answer.
    pub async fn ask<T, F>(&self, chosen: &ChosenReplica, question: impl FnOnce(Pool) -> F) -> Option<T>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        let replica = self.all.get(chosen.number)?;
        match replica.breaker.call(with_timeout(READ_TIMEOUT, question(replica.pool.clone()))).await {
            Ok(answer) => Some(answer),
            Err(CallError::Refused(_)) => None,
            Err(CallError::Failed(error)) => {
                tracing::debug!(replica = replica.number, %error, "query on a replica failed, using the primary");
                replica.failed();
                self.metrics.replica_used(&replica.number, false);
                None
            }
        }
    }

    /// A few words for health.
    pub fn summary(&self) -> String {
        let summaries = self.all.iter().map(|replica| {
            match replica.fit(|progress| progress.positions.values().min().copied().unwrap_or(0)) {
                Ok(reached) => format!("replica {} has replayed position {reached}", replica.number),
                Err(why) => format!("replica {} is left out: {why}", replica.number),
            }
        });
        summaries.collect::<Vec<_>>().join("; ")
    }

    /// Closes all connections.
    pub async fn close(self) {
        for replica in self.all.iter() {
            pool::close(replica.pool.clone()).await;
        }
    }

    /// Asks all of them again and again, until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let (mut history, mut primary) = (PrimaryHistory::default(), None);
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = round.tick() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.look(&mut history, &mut primary) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look(&self, history: &mut PrimaryHistory, primary: &mut Option<DatabaseProgress>) {
        // A primary that does not answer has nothing new that a replica could lack.
        if let Ok(progress) = read_progress(&self.primary).await {
            history.note(Instant::now(), progress.positions.clone(), self.lag);
            *primary = Some(progress);
        }
        let Some(primary) = &*primary else { return };
        let due = history.due();
        let mut asked = JoinSet::new();
        for number in 0..self.all.len() {
            let pool = self.all[number].pool.clone();
            asked.spawn(async move { (number, read_progress(&pool).await) });
        }
        while let Some(answered) = asked.join_next().await {
            let Ok((number, answer)) = answered else { continue };
            let replica = &self.all[number];
            self.take(replica, answer, |before, now| unfit(before, now, primary, &due));
        }
    }

    fn take(
        &self,
        replica: &Replica,
        answer: sqlx::Result<DatabaseProgress>,
        unfit: impl FnOnce(&DatabaseProgress, &DatabaseProgress) -> Option<String>,
    ) {
        let mut seen = replica.seen();
        let (progress, left_out, error) = match answer {
            Ok(progress) => {
                let before = seen.progress.as_ref();
                let left_out = before.map_or(Some(ANSWERED_ONCE.into()), |before| unfit(before, &progress));
                (Some(progress), left_out, None)
            }
            Err(error) => (None, Some(SILENT.to_owned()), Some(error)),
        };
        self.metrics.replica_used(&replica.number, left_out.is_none());
        match (seen.left_out.as_deref(), left_out.as_deref()) {
            (Some(_), None) => tracing::info!(replica = replica.number, "replica is in use"),
            // It was read from, or nothing was known of it; and waiting for a second answer is nothing to tell.
            (None | Some(NOT_ASKED | ANSWERED_ONCE), Some(why)) if why != ANSWERED_ONCE => {
                let error = error.map(tracing::field::display);
                tracing::warn!(replica = replica.number, why, error, "replica is not in use");
            }
            _ => {}
        }
        *seen = LastPoll { at: Instant::now(), progress, left_out };
    }
}

async fn read_progress(pool: &Pool) -> sqlx::Result<DatabaseProgress> {
    let asking = sqlx::query(
        "SELECT h.epoch, p.name, p.position FROM convoke.log_head h LEFT JOIN convoke.projections p ON true",
    )
    .fetch_all(pool);
    let mut progress = DatabaseProgress::default();
    for row in with_timeout(POLL_TIMEOUT, asking).await? {
        progress.epoch = row.try_get("epoch")?;
        if let Some(name) = row.try_get::<Option<String>, _>("name")? {
            progress.positions.insert(name, position(row.try_get("position")?));
        }
    }
    Ok(progress)
}
