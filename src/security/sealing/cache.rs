//! A short-lived cache of keys in memory, so that most batches need no query.
//!
//! A key read before an erasure must not enter the cache after it: a reader notes the moment at which it began, and its result is
//! stored only if no key was forgotten since.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use moka::sync::Cache;
use uuid::Uuid;

use super::fields::{PersonKey, PersonRef};
use crate::ids::TenantId;

/// How long a key, or the knowledge that it is gone, is believed: by then every process has seen an erasure.
pub const HELD: Duration = Duration::from_secs(60);

/// Keys held of each kind: about 30 MB when both are full.
const CAPACITY: u64 = 50_000;

/// How often keys had been forgotten when a reader began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyMoment(u64);

/// A key by its id, as opening finds it.
pub(super) type FoundKey = Option<Arc<PersonKey>>;

pub(super) struct KeyCache {
    persons: Cache<PersonRef, Arc<PersonKey>>,
    ids: Cache<(TenantId, Uuid), FoundKey>,
    forgotten: RwLock<KeyMoment>,
}

impl KeyCache {
    pub fn new() -> Self {
        Self {
            persons: Cache::builder().max_capacity(CAPACITY).time_to_live(HELD).build(),
            ids: Cache::builder().max_capacity(CAPACITY).time_to_live(HELD).build(),
            forgotten: RwLock::default(),
        }
    }

    pub fn person(&self, person: &PersonRef) -> Option<Arc<PersonKey>> {
        self.persons.get(person)
    }

    pub fn id(&self, tenant: &TenantId, id: Uuid) -> Option<FoundKey> {
        self.ids.get(&(tenant.clone(), id))
    }

    pub fn moment(&self) -> KeyMoment {
        *self.moments()
    }

    fn moments(&self) -> RwLockReadGuard<'_, KeyMoment> {
        self.forgotten.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn keep_persons(&self, since: KeyMoment, found: impl IntoIterator<Item = (PersonRef, Arc<PersonKey>)>) {
        let now = self.moments();
        if *now == since {
            found.into_iter().for_each(|(person, key)| self.persons.insert(person, key));
        }
    }

    pub fn keep_ids(&self, since: KeyMoment, tenant: &TenantId, found: impl IntoIterator<Item = (Uuid, FoundKey)>) {
        let now = self.moments();
        if *now == since {
            found.into_iter().for_each(|(id, key)| self.ids.insert((tenant.clone(), id), key));
        }
    }

    pub fn forget(&self, person: &PersonRef, id: Option<Uuid>) {
        let mut moment = self.forgotten.write().unwrap_or_else(PoisonError::into_inner);
        moment.0 += 1;
        self.persons.invalidate(person);
        if let Some(id) = id {
            self.ids.invalidate(&(person.0.clone(), id));
        }
    }

    pub fn forget_all(&self) {
        let mut moment = self.forgotten.write().unwrap_or_else(PoisonError::into_inner);
        moment.0 += 1;
        self.persons.invalidate_all();
        self.ids.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::cipher::Cipher;
    use super::*;
    use crate::ids::Identity;

    fn alice() -> (PersonRef, Arc<PersonKey>) {
        let person = (TenantId::new("acme").unwrap(), Identity::new("alice").unwrap());
        (person, Arc::new(PersonKey { id: Uuid::from_u128(1), cipher: Cipher::new(&[1; 32]) }))
    }

    #[test]
    fn a_key_read_before_it_was_forgotten_is_not_held_after_it() {
        let cache = KeyCache::new();
        let (person, key) = alice();
        let before = cache.moment();
        cache.forget(&person, Some(key.id));
        cache.keep_persons(before, [(person.clone(), key.clone())]);
        cache.keep_ids(before, &person.0, [(key.id, Some(key.clone()))]);
        assert!(cache.person(&person).is_none());
        assert!(cache.id(&person.0, key.id).is_none());
        cache.keep_persons(cache.moment(), [(person.clone(), key)]);
        assert!(cache.person(&person).is_some(), "what was read after it is");
    }

    #[test]
    fn forgetting_one_person_leaves_the_others_and_forgetting_all_leaves_nobody() {
        let cache = KeyCache::new();
        let (person, key) = alice();
        let bob = (person.0.clone(), Identity::new("bob").unwrap());
        let at = cache.moment();
        cache.keep_persons(at, [(person.clone(), key.clone()), (bob.clone(), key.clone())]);
        cache.keep_ids(at, &person.0, [(key.id, Some(key.clone())), (Uuid::from_u128(2), None)]);
        cache.forget(&person, Some(key.id));
        assert!(cache.person(&bob).is_some());
        assert!(matches!(cache.id(&person.0, Uuid::from_u128(2)), Some(None)), "known to be gone");
        cache.forget_all();
        assert!(cache.person(&bob).is_none());
        assert!(cache.id(&person.0, Uuid::from_u128(2)).is_none());
    }
}
