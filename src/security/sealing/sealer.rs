//! The keys of persons: finds them in batches, creates, loads and forgets them. The append that writes the sealed fields stores a
//! new key; the log deletes a key when it takes `person.erased`.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::OnceCell;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::cache::{FoundKey, KeyCache, KeyMoment};
use super::fields::{self, NewKey, OpeningKeys, PersonKey, PersonKeys, PersonRef};
use super::master::{MasterKeys, WrappedKey, person_bound};
use super::{
    KeyError,
    cipher::{Cipher, bound},
};
use crate::database::pool::Pool;
use crate::events::sealed::Sealed;
use crate::events::time::Clock;
use crate::ids::{Identity, TenantId};
use crate::security::random;

/// Where processes are told that a key is to be forgotten (migration 0014).
pub(in crate::security) const CHANNEL: &str = "convoke_keys";

/// Texts that the program keeps for itself outside of the database.
const UNDER_MASTER: &str = "convoke under master 1";

/// Seals and opens with the keys in `convoke.person_keys`. Cheap to clone; clones share one cache.
#[derive(Clone)]
pub struct Sealer {
    pub(super) pool: Pool,
    pub(super) masters: Arc<MasterKeys>,
    pub(super) cache: Arc<KeyCache>,
    pub(super) checked: Arc<OnceCell<()>>,
    clock: Clock,
}

impl Sealer {
    /// `pool` is of the role `convoke_system`, on the primary.
    pub fn new(pool: Pool, masters: MasterKeys) -> Self {
        Self {
            pool,
            masters: Arc::new(masters),
            cache: Arc::new(KeyCache::new()),
            checked: Arc::default(),
            clock: Clock::system(),
        }
    }

    /// Appends a text sealed under the newest master key to `out`; `place`: what it is bound to.
    pub fn seal_with_master(&self, out: &mut Vec<u8>, plain: &[u8], place: &[u8]) {
        self.masters.newest().1.seal_onto(out, plain, &bound(UNDER_MASTER, &[place]));
    }

    /// A text that was sealed for this place under one of the master keys; `None`: it was not.
    pub fn open_with_master(&self, sealed: &[u8], place: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let bound = bound(UNDER_MASTER, &[place]);
        self.masters.all().find_map(|master| master.open(sealed, &bound))
    }

    /// The keys that these persons have, and the knowledge of who has none; persons may repeat. Writes nothing. One statement at
    /// most, and none when all are held already.
    pub async fn find_keys(&self, persons: &[(TenantId, Identity)]) -> Result<PersonKeys, KeyError> {
        let moment = self.cache.moment();
        let mut found = PersonKeys { keys: HashMap::with_capacity(persons.len()), fresh: Vec::new(), moment };
        let mut missing: HashSet<PersonRef> = HashSet::new();
        for person in persons {
            match self.cache.person(person) {
                Some(key) => _ = found.keys.insert(person.clone(), Some(key)),
                None => _ = missing.insert(person.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        // Persons without a key may get a new one, wrapped under the newest master key.
        self.check_masters().await?;
        let missing: Vec<PersonRef> = missing.into_iter().collect();
        for (number, key) in self.read_keys(&missing).await? {
            found.fresh.push(missing[number].clone());
            found.keys.insert(missing[number].clone(), Some(key));
        }
        for person in missing {
            found.keys.entry(person).or_insert(None);
        }
        Ok(found)
    }

    /// Changes whenever a key is forgotten: what was opened before must not be shown after.
    pub fn moment(&self) -> KeyMoment {
        self.cache.moment()
    }

    /// A key for a person of this tenant who has none. Whoever seals with it stores it in the same transaction: nothing is
    /// written here.
    pub fn new_key(&self, tenant: &TenantId) -> NewKey {
        let (master, wrapping) = self.masters.newest();
        let id = random::uuid_v7(self.clock.now());
        let (cipher, wrapped) = wrapping.make_key(&person_bound(tenant, id));
        NewKey { key: Arc::new(PersonKey { id, cipher }), master: master.to_owned(), wrapped }
    }

    /// Holds keys for later batches, now that what was sealed under them is stored.
    pub fn keep(&self, keys: &PersonKeys) {
        let fresh = keys.fresh.iter().filter_map(|person| Some((person.clone(), keys.keys.get(person)?.clone()?)));
        self.cache.keep_persons(keys.moment, fresh);
    }

    /// Index in `persons` and key of each person with a key.
    async fn read_keys(&self, persons: &[PersonRef]) -> Result<Vec<(usize, Arc<PersonKey>)>, KeyError> {
        let rows: Vec<(i64, Uuid, String, Vec<u8>)> = sqlx::query_as(
            "SELECT
                n.number,
                k.key_id,
                k.master,
                k.wrapped
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (tenant, identity, number)
             JOIN convoke.person_keys k ON k.tenant = n.tenant
                 AND k.identity = n.identity",
        )
        .bind(persons.iter().map(|(tenant, _)| tenant.as_str()).collect::<Vec<_>>())
        .bind(persons.iter().map(|(_, identity)| identity.as_str()).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await?;
        let mut found = Vec::with_capacity(rows.len());
        for (number, id, master, bytes) in rows {
            let index = usize::try_from(number - 1).expect("rows are numbered from 1");
            let cipher = self.masters.unwrap_person(&persons[index].0, id, &WrappedKey { master, bytes })?;
            found.push((index, Arc::new(PersonKey { id, cipher })));
        }
        Ok(found)
    }

    /// The keys that open these sealed parts of one tenant. One statement at most; keys of other tenants are not found.
    pub async fn load_keys(
        &self,
        tenant: &TenantId,
        sealed: impl IntoIterator<Item = &Sealed>,
    ) -> Result<OpeningKeys, KeyError> {
        let keys = self.load_available_keys(tenant, sealed).await?;
        match keys.locked.first() {
            Some(id) => Err(KeyError::UnknownMaster { id: id.clone() }),
            None => Ok(keys),
        }
    }

    /// The same, without those that are wrapped under master keys which this process lacks: [`OpeningKeys::locked`].
    pub async fn load_available_keys(
        &self,
        tenant: &TenantId,
        sealed: impl IntoIterator<Item = &Sealed>,
    ) -> Result<OpeningKeys, KeyError> {
        let moment = self.cache.moment();
        let mut keys: HashMap<Uuid, FoundKey> = HashMap::new();
        let mut missing: HashSet<Uuid> = HashSet::new();
        for id in sealed.into_iter().filter_map(fields::key_id) {
            if keys.contains_key(&id) || missing.contains(&id) {
                continue;
            }
            match self.cache.id(tenant, id) {
                Some(found) => _ = keys.insert(id, found),
                None => _ = missing.insert(id),
            }
        }
        let mut locked = BTreeSet::new();
        if !missing.is_empty() {
            let loaded = self.load(tenant, missing, &mut locked).await?;
            self.cache.keep_ids(moment, tenant, loaded.iter().map(|(id, found)| (*id, found.clone())));
            keys.extend(loaded);
        }
        Ok(OpeningKeys { keys, locked })
    }

    async fn load(
        &self,
        tenant: &TenantId,
        ids: HashSet<Uuid>,
        locked: &mut BTreeSet<String>,
    ) -> Result<HashMap<Uuid, FoundKey>, KeyError> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let rows: Vec<(Uuid, String, Vec<u8>)> = sqlx::query_as(
            "SELECT
                key_id,
                master,
                wrapped
             FROM convoke.person_keys
             WHERE key_id = ANY($1)
                 AND tenant = $2",
        )
        .bind(&ids)
        .bind(tenant.as_str())
        .fetch_all(&self.pool)
        .await?;
        let mut loaded: HashMap<Uuid, FoundKey> = ids.into_iter().map(|id| (id, None)).collect();
        for (id, master, bytes) in rows {
            let cipher: Cipher = match self.masters.unwrap_person(tenant, id, &WrappedKey { master, bytes }) {
                Err(KeyError::UnknownMaster { id: master }) => {
                    locked.insert(master);
                    loaded.remove(&id);
                    continue;
                }
                unwrapped => unwrapped?,
            };
            loaded.insert(id, Some(Arc::new(PersonKey { id, cipher })));
        }
        Ok(loaded)
    }

    /// The ids of the keys that these persons have, as the table says now; of who has none, nothing that is sealed can be opened.
    pub async fn keys_of(&self, persons: &[(TenantId, Identity)]) -> Result<HashMap<PersonRef, Uuid>, KeyError> {
        if persons.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<(i64, Uuid)> = sqlx::query_as(
            "SELECT
                n.number,
                k.key_id
             FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (tenant, identity, number)
             JOIN convoke.person_keys k ON k.tenant = n.tenant
                 AND k.identity = n.identity",
        )
        .bind(persons.iter().map(|(tenant, _)| tenant.as_str()).collect::<Vec<_>>())
        .bind(persons.iter().map(|(_, identity)| identity.as_str()).collect::<Vec<_>>())
        .fetch_all(&self.pool)
        .await?;
        let found = rows.into_iter().map(|(number, id)| {
            let index = usize::try_from(number - 1).expect("rows are numbered from 1");
            (persons[index].clone(), id)
        });
        Ok(found.collect())
    }

    /// The person was erased, by this process or another: nothing is sealed or opened with their key any more.
    pub fn forget(&self, tenant: TenantId, identity: Identity, key: Option<Uuid>) {
        self.cache.forget(&(tenant, identity), key);
    }

    /// Others may have erased anybody.
    pub(in crate::security) fn forget_all(&self) {
        self.cache.forget_all();
    }
}
