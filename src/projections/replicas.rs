//! Replicas of the database, to read from: which of them has replayed what a reader asks for.
//!
//! Each is asked every so often how far its read models are. One that does not answer, or has not replayed what the primary
//! had a while ago, is left out and comes back by itself. A reader names the position that it wants to be shown at least;
//! where no replica has it the primary is read. A replica that dies in the middle of a question is left out at once, and the
//! question put to the primary.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::checkpoint::position;
use crate::database::pool;
use crate::database::silence::heard;
use crate::events::envelope::Position;
use crate::telemetry::metrics::Metrics;

/// Between two questions to a replica.
const ROUND: Duration = Duration::from_millis(200);
/// One that takes longer to answer is left out.
const SILENCE: Duration = Duration::from_secs(1);
/// An answer is believed for so long.
const FRESH: Duration = Duration::from_secs(3);

/// A replica, as it answered last.
struct Replica {
    /// Its place in the setting, from 1: labels metrics, and names no host.
    number: String,
    pool: PgPool,
    seen: Mutex<Option<Seen>>,
}

#[derive(Clone, Copy)]
struct Seen {
    at: Instant,
    /// All read models contain this, on the replica.
    reached: Position,
    /// It has what the primary had so long ago as is allowed.
    keeps_up: bool,
}

impl Replica {
    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far it is, where it can be read from.
    fn reached(&self) -> Option<Position> {
        self.seen().filter(|seen| seen.keeps_up && seen.at.elapsed() < FRESH).map(|seen| seen.reached)
    }
}

/// Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Replicas {
    primary: PgPool,
    all: Arc<[Replica]>,
    /// How far behind the primary a replica may be.
    lag: Duration,
    turn: Arc<AtomicUsize>,
    metrics: Metrics,
}

/// A replica to read from, and the position that it contains for certain.
#[derive(Clone)]
pub struct Chosen {
    pub pool: PgPool,
    pub reached: Position,
    number: usize,
}

impl Replicas {
    pub fn new(primary: PgPool, pools: Vec<PgPool>, lag: Duration, metrics: Metrics) -> Self {
        let replica = |(number, pool): (usize, PgPool)| Replica {
            number: (number + 1).to_string(),
            pool,
            seen: Mutex::default(),
        };
        let all: Arc<[Replica]> = pools.into_iter().enumerate().map(replica).collect();
        Self { primary, all, lag, turn: Arc::default(), metrics }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// One that has replayed the position, in turns; `None`: only the primary has it for certain.
    pub fn having(&self, wanted: Position) -> Option<Chosen> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..self.all.len()).map(|step| (turn + step) % self.all.len());
        let found = in_turn.filter_map(|number| Some((number, self.all[number].reached()?)));
        let found = found.filter(|(_, reached)| *reached >= wanted).map(|(number, reached)| Chosen {
            pool: self.all[number].pool.clone(),
            reached,
            number,
        });
        let chosen = found.into_iter().next();
        self.metrics.read_from(if chosen.is_some() { "replica" } else { "primary" });
        chosen
    }

    /// It did not answer: left out until it does.
    pub fn failed(&self, chosen: &Chosen) {
        if let Some(replica) = self.all.get(chosen.number) {
            *replica.seen() = None;
            self.metrics.replica_used(&replica.number, false);
        }
    }

    /// A few words for health.
    pub fn told(&self) -> String {
        let told = self.all.iter().map(|replica| match replica.reached() {
            Some(reached) => format!("replica {} has replayed position {reached}", replica.number),
            None => format!("replica {} is left out", replica.number),
        });
        told.collect::<Vec<_>>().join("; ")
    }

    /// Closes what is open.
    pub async fn leave(self) {
        for replica in self.all.iter() {
            pool::close(replica.pool.clone()).await;
        }
    }

    /// Asks all of them again and again, until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut history = History::default();
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = round.tick() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.look(&mut history) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn look(&self, history: &mut History) {
        // A primary that does not answer has nothing new that a replica could lack.
        if let Ok(position) = reached(&self.primary).await {
            history.note(Instant::now(), position, self.lag);
        }
        let due = history.due();
        let mut asked = JoinSet::new();
        for number in 0..self.all.len() {
            let pool = self.all[number].pool.clone();
            asked.spawn(async move { (number, reached(&pool).await) });
        }
        while let Some(answered) = asked.join_next().await {
            let Ok((number, answer)) = answered else { continue };
            self.take(&self.all[number], answer, due);
        }
    }

    fn take(&self, replica: &Replica, answer: sqlx::Result<Position>, due: Position) {
        let before = replica.reached().is_some();
        let why = match answer {
            Ok(reached) => {
                *replica.seen() = Some(Seen { at: Instant::now(), reached, keeps_up: reached >= due });
                format!("it has replayed position {reached}, and the primary had {due} {:?} ago", self.lag)
            }
            Err(error) => {
                *replica.seen() = None;
                error.to_string()
            }
        };
        let now = replica.reached().is_some();
        self.metrics.replica_used(&replica.number, now);
        match (before, now) {
            (true, false) => tracing::warn!(replica = replica.number, why, "a replica is left out"),
            (false, true) => tracing::info!(replica = replica.number, "a replica is read from"),
            _ => {}
        }
    }
}

/// All read models contain this.
async fn reached(pool: &PgPool) -> sqlx::Result<Position> {
    let asking =
        sqlx::query_scalar::<_, i64>("SELECT coalesce(min(position), 0) FROM convoke.projections").fetch_one(pool);
    heard(SILENCE, asking).await.map(position)
}

/// What the primary had, and when.
#[derive(Default)]
struct History(VecDeque<(Instant, Position)>);

impl History {
    fn note(&mut self, now: Instant, position: Position, lag: Duration) {
        self.0.push_back((now, position));
        // The newest of those that are old enough stays.
        while self.0.get(1).is_some_and(|(at, _)| now - *at >= lag) {
            self.0.pop_front();
        }
    }

    /// What a replica has to have by now.
    fn due(&self) -> Position {
        self.0.front().map_or(0, |(_, position)| *position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_what_the_primary_had_a_while_ago() {
        let (mut history, lag, begun) = (History::default(), Duration::from_secs(5), Instant::now());
        for (seconds, position) in [(0, 10), (2, 20), (4, 30), (6, 40), (8, 50)] {
            history.note(begun + Duration::from_secs(seconds), position, lag);
        }
        assert_eq!(history.due(), 20, "of six seconds ago");
        history.note(begun + Duration::from_secs(68), 60, lag);
        assert_eq!(history.due(), 50);
    }
}
