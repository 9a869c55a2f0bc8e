//! Permits to load states for readers: so many at once, and of one tenant never all, so that nobody who asks for many cold rooms
//! keeps the readers of other tenants waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ids::TenantId;

/// Loads at a time.
const ALL: usize = 8;
/// Of one tenant.
const EACH: usize = 4;
/// Tenants beyond which those that load nothing are forgotten.
const TENANTS: usize = 1_024;

pub struct LoadPermits {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

impl Default for LoadPermits {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), tenants: Mutex::default() }
    }
}

/// To be held while a state is loaded.
pub struct LoadPermit {
    _all: Option<OwnedSemaphorePermit>,
    _of_tenant: Option<OwnedSemaphorePermit>,
}

impl LoadPermits {
    /// Waits for a permit of the tenant first: whoever waits for that holds nothing that others want.
    pub async fn of(&self, tenant: &TenantId) -> LoadPermit {
        let semaphore = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            if tenants.len() >= TENANTS {
                tenants.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
            }
            tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(EACH))).clone()
        };
        // Neither semaphore is ever closed.
        let of_tenant = semaphore.acquire_owned().await.ok();
        let all = self.all.clone().acquire_owned().await.ok();
        LoadPermit { _all: all, _of_tenant: of_tenant }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_tenant_that_takes_all_it_can_leaves_room_for_others() {
        let permits = LoadPermits::default();
        let (greedy, modest) = (TenantId::new("greedy").unwrap(), TenantId::new("modest").unwrap());
        let mut held = Vec::new();
        while let Some(permit) = permits.of(&greedy).now_or_never() {
            held.push(permit);
        }
        assert_eq!(held.len(), EACH);
        assert!(permits.of(&modest).now_or_never().is_some());
        held.pop();
        assert!(permits.of(&greedy).now_or_never().is_some(), "a permit comes back");
    }
}
