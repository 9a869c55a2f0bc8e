//! A cache of recent responses, so that a repeated request does not reach the writer. It is only an optimisation: the log's table
//! of outcomes has every response.
//!
//! Every command passes here and few are repeated, so the cache does not track use: responses fill one generation, and when it is
//! full, the previous one is dropped.

use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::{DefaultHashBuilder, HashMap};

use super::error::{AtomicError, ExecuteError};
use super::request::{CommandRequest, Idempotency};
use super::response::CommandOutcome;
use crate::ids::TenantId;

/// Of a generation's answers, in bytes of their text.
const CAPACITY: usize = 16 * 1024 * 1024;

/// Beside the text, an answer and its key take about this much.
const OVERHEAD: usize = 256;

/// Of a generation. Twice this is well below any life of keys.
const LIFE: Duration = Duration::from_secs(30);

struct RecentOutcome {
    tenant: TenantId,
    idempotency: Idempotency,
    outcome: CommandOutcome,
}

/// By the hash of tenant and key; of two with the same hash, the later one is kept.
type OutcomesByHash = HashMap<u64, RecentOutcome>;

struct OutcomeGenerations {
    young: OutcomesByHash,
    old: OutcomesByHash,
    /// Of the young ones.
    bytes: usize,
    since: Instant,
}

#[derive(Clone)]
pub struct RecentOutcomes {
    hashing: DefaultHashBuilder,
    generations: Arc<Mutex<OutcomeGenerations>>,
}

impl Default for RecentOutcomes {
    fn default() -> Self {
        let generations = OutcomeGenerations {
            young: OutcomesByHash::new(),
            old: OutcomesByHash::new(),
            bytes: 0,
            since: Instant::now(),
        };
        Self { hashing: DefaultHashBuilder::default(), generations: Arc::new(Mutex::new(generations)) }
    }
}

impl RecentOutcomes {
    /// The answer to requests that were all answered lately; `None`: they are to be executed.
    pub fn answer(&self, requests: &[CommandRequest]) -> Option<Result<Vec<CommandOutcome>, AtomicError>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.turn(Instant::now());
        let mut outcomes = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            let given = request.idempotency.as_ref()?;
            let kept = generations.find(self.hash(&request.caller.tenant, &given.key))?;
            if kept.tenant != request.caller.tenant || kept.idempotency.key != given.key {
                return None;
            }
            if kept.idempotency != *given {
                return Some(Err(AtomicError { index, error: ExecuteError::KeyReused }));
            }
            outcomes.push(CommandOutcome { replayed: true, ..kept.outcome.clone() });
        }
        Some(Ok(outcomes))
    }

    pub fn keep(&self, requests: &[CommandRequest], outcomes: &[CommandOutcome]) {
        for (request, outcome) in requests.iter().zip(outcomes) {
            if let Some(given) = &request.idempotency {
                let tenant = request.caller.tenant.clone();
                let hash = self.hash(&tenant, &given.key);
                let kept = RecentOutcome { tenant, idempotency: given.clone(), outcome: outcome.clone() };
                self.generations.lock().unwrap_or_else(PoisonError::into_inner).put(hash, kept);
            }
        }
    }

    fn hash(&self, tenant: &TenantId, key: &str) -> u64 {
        self.hashing.hash_one((tenant, key))
    }
}

impl OutcomeGenerations {
    /// Lets go of what is too old, and begins anew where there is too much.
    fn turn(&mut self, now: Instant) {
        let age = now - self.since;
        if age >= LIFE || self.bytes >= CAPACITY {
            let young = std::mem::take(&mut self.young);
            self.old = if age >= 2 * LIFE { OutcomesByHash::new() } else { young };
            (self.bytes, self.since) = (0, now);
        }
    }

    fn find(&self, hash: u64) -> Option<&RecentOutcome> {
        self.young.get(&hash).or_else(|| self.old.get(&hash))
    }

    fn put(&mut self, hash: u64, kept: RecentOutcome) {
        self.bytes += OVERHEAD + kept.outcome.body.len();
        self.young.insert(hash, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::time::Timestamp;
    use crate::ids::RoomId;

    fn kept(body: usize) -> RecentOutcome {
        let idempotency = Idempotency { key: "k".into(), fingerprint: [0; 32] };
        let outcome = CommandOutcome {
            status: 200,
            room: RoomId::from_uuid(uuid::Uuid::nil()),
            room_version: 1,
            position: 1,
            recorded_at: Timestamp::EPOCH,
            body: "x".repeat(body),
            replayed: false,
        };
        RecentOutcome { tenant: TenantId::new("acme").unwrap(), idempotency, outcome }
    }

    fn fresh(now: Instant) -> OutcomeGenerations {
        OutcomeGenerations { young: OutcomesByHash::new(), old: OutcomesByHash::new(), bytes: 0, since: now }
    }

    #[test]
    fn an_answer_is_kept_for_one_generation_at_least_and_two_at_most() {
        let begun = Instant::now();
        let mut generations = fresh(begun);
        generations.put(1, kept(10));
        generations.turn(begun + LIFE);
        assert!(generations.find(1).is_some());
        generations.turn(begun + 2 * LIFE);
        assert!(generations.find(1).is_none());
        generations.put(2, kept(10));
        generations.turn(begun + 4 * LIFE);
        assert!(generations.find(2).is_none(), "nobody came by for two lives");
    }

    #[test]
    fn what_is_kept_is_bounded_by_its_size() {
        let begun = Instant::now();
        let mut generations = fresh(begun);
        for hash in 0..100 {
            generations.put(hash, kept(CAPACITY / 10));
            generations.turn(begun);
        }
        let held = generations.young.len() + generations.old.len();
        assert!((10..=20).contains(&held), "{held}");
        assert!(generations.find(99).is_some() && generations.find(0).is_none());
    }
}
