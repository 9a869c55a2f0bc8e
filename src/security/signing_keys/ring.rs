//! What verifies tokens at one moment, and how it follows the table.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::store::{KeyRow, KeyStore};
use super::{KeysById, VerifyingKey};

/// A running program reads the table this often, besides when it hears of a change: a revocation is seen by then.
pub const REFRESH: Duration = Duration::from_secs(5);

/// From this age on a verification reads the table itself, one at a time, while the others go on with what is held.
const OVERDUE: Duration = Duration::from_secs(10);

/// From this age on no token is verified: while the table is unavailable, a revoked key must not stay valid.
const TOO_OLD: Duration = Duration::from_secs(60);

/// The table is small: a database that says nothing for this long has fallen silent, and others wait.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// After a failure the table is left alone for this long.
const PAUSE: Duration = Duration::from_secs(1);

/// The keys of the configuration and of the table, and the ids of those that were revoked.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: KeysById,
    revoked: HashSet<String>,
    /// Another number whenever keys or revocations changed.
    pub(in crate::security) generation: u64,
}

/// What a key id stands for.
pub(in crate::security) enum KeyLookup<'a> {
    Key(&'a Arc<VerifyingKey>),
    Revoked,
    Unknown,
}

impl KeyRing {
    pub(in crate::security) fn find(&self, kid: &str) -> KeyLookup<'_> {
        if self.revoked.contains(kid) {
            return KeyLookup::Revoked;
        }
        self.keys.get(kid).map_or(KeyLookup::Unknown, KeyLookup::Key)
    }

    /// Without a table.
    #[cfg(test)]
    pub(in crate::security) fn of(keys: KeysById, revoked: &[&str]) -> Self {
        Self { keys, revoked: revoked.iter().map(ToString::to_string).collect(), generation: 1 }
    }
}

/// The table of keys could not be read for too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signing keys cannot be read: {0}")]
pub struct RingUnavailable(pub Arc<str>);

/// Follows the table.
pub(in crate::security) struct KeyRings {
    configured: KeysById,
    store: KeyStore,
    held: RwLock<LoadedRing>,
    reader: Mutex<KeyTableReader>,
}

#[derive(Clone, Default)]
struct LoadedRing {
    ring: Arc<KeyRing>,
    read_at: Option<Instant>,
}

/// The holder of the lock reads the table.
#[derive(Default)]
struct KeyTableReader {
    rows: Vec<KeyRow>,
    failed: Option<(Instant, Arc<str>)>,
}

impl KeyRings {
    pub fn new(configured: KeysById, store: KeyStore) -> Self {
        Self { configured, store, held: RwLock::default(), reader: Mutex::default() }
    }

    /// Not older than [`TOO_OLD`].
    pub async fn current(&self) -> Result<Arc<KeyRing>, RingUnavailable> {
        let held = self.held();
        match held.read_at.map(|at| at.elapsed()) {
            Some(age) if age < OVERDUE => Ok(held.ring),
            Some(age) if age < TOO_OLD => {
                if let Ok(reader) = self.reader.try_lock() {
                    // The cached keys are still valid; the failure is reported once they are not.
                    _ = self.read(reader).await;
                }
                Ok(self.held().ring)
            }
            _ => {
                let reader = self.reader.lock().await;
                let held = self.held();
                if held.read_at.is_some_and(|at| at.elapsed() < OVERDUE) {
                    Ok(held.ring)
                } else {
                    self.read(reader).await
                }
            }
        }
    }

    /// Reads the table now.
    pub async fn refresh(&self) -> Result<Arc<KeyRing>, RingUnavailable> {
        let mut reader = self.reader.lock().await;
        reader.failed = None;
        self.read(reader).await
    }

    fn held(&self) -> LoadedRing {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read(&self, mut reader: MutexGuard<'_, KeyTableReader>) -> Result<Arc<KeyRing>, RingUnavailable> {
        if let Some((at, problem)) = &reader.failed
            && at.elapsed() < PAUSE
        {
            return Err(RingUnavailable(problem.clone()));
        }
        // Noted before the question: what is committed after it is not in the answer.
        let read_at = Instant::now();
        let answer = tokio::time::timeout(QUERY_TIMEOUT, self.store.rows()).await;
        let rows = match answer.unwrap_or(Err(sqlx::Error::PoolTimedOut)) {
            Ok(rows) => rows,
            Err(problem) => {
                let problem: Arc<str> = problem.to_string().into();
                reader.failed = Some((Instant::now(), problem.clone()));
                return Err(RingUnavailable(problem));
            }
        };
        let mut ring = self.held().ring;
        if ring.generation == 0 || rows != reader.rows {
            ring = Arc::new(self.ring(&rows, ring.generation + 1));
            reader.rows = rows;
        }
        reader.failed = None;
        let held = LoadedRing { ring: ring.clone(), read_at: Some(read_at) };
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
        Ok(ring)
    }

    fn ring(&self, rows: &[KeyRow], generation: u64) -> KeyRing {
        let mut ring = KeyRing { keys: self.configured.clone(), revoked: HashSet::new(), generation };
        for row in rows {
            match self.store.unwrap(row) {
                Ok(Some(key)) => _ = ring.keys.entry(key.kid.clone()).or_insert_with(|| Arc::new(key)),
                Ok(None) => _ = ring.revoked.insert(row.kid.clone()),
                // One bad row must not shut out everybody: its key alone does not verify.
                Err(problem) => tracing::error!(kid = row.kid, %problem, "signing key is unusable"),
            }
        }
        ring
    }
}
