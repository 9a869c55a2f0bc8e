//! Answers given lately, so that a caller who asks again does not disturb the room. Only a short cut: what is not here is found
//! in the log's own table of outcomes.

use moka::sync::Cache;

use super::{AtomicError, ExecuteError, Idempotency, Outcome, Request};
use crate::events::ids::TenantId;

/// Of answers, in bytes of their text.
const CAPACITY: u64 = 32 * 1024 * 1024;

/// Beside the text, an answer and its key take about this much.
const OVERHEAD: usize = 256;

/// Well below any life of keys.
const LIFE: std::time::Duration = std::time::Duration::from_secs(60);

#[derive(Clone)]
pub struct RecentOutcomes(Cache<(TenantId, String), (Idempotency, Outcome)>);

impl Default for RecentOutcomes {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(CAPACITY)
            .time_to_live(LIFE)
            .weigher(|_, (_, outcome): &(Idempotency, Outcome)| {
                u32::try_from(outcome.body.len() + OVERHEAD).unwrap_or(u32::MAX)
            })
            .build();
        Self(cache)
    }
}

impl RecentOutcomes {
    /// The answer to requests that were all answered lately; `None`: they are to be executed.
    pub fn answer(&self, requests: &[Request]) -> Option<Result<Vec<Outcome>, AtomicError>> {
        let mut outcomes = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            let given = request.idempotency.as_ref()?;
            let (kept, outcome) = self.0.get(&(request.caller.tenant.clone(), given.key.clone()))?;
            if kept != *given {
                return Some(Err(AtomicError { index, error: ExecuteError::KeyReused }));
            }
            outcomes.push(Outcome { replayed: true, ..outcome });
        }
        Some(Ok(outcomes))
    }

    pub fn keep(&self, requests: &[Request], outcomes: &[Outcome]) {
        for (request, outcome) in requests.iter().zip(outcomes) {
            if let Some(given) = &request.idempotency {
                let key = (request.caller.tenant.clone(), given.key.clone());
                self.0.insert(key, (given.clone(), outcome.clone()));
            }
        }
    }
}
