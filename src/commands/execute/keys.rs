//! The keys under which a batch seals personal fields: existing keys, and new ones for persons without a key.
//!
//! A new key is created when an accepted command first seals data of the person, and stored by the append that writes the events.
//! A refused command stores no key, and neither does a unit that is not written. If another process stored a key for the person
//! first, the append writes nothing of the batch ([`Conflict::PersonKey`](crate::events::log::append::Conflict::PersonKey)), and
//! the batch is decided again with the other key.

use std::collections::HashMap;

use uuid::Uuid;

use crate::events::log::append::{Appended, NewPersonKey};
use crate::events::sealed::{NewPersonal, Sealed};
use crate::ids::{Identity, TenantId};
use crate::security::sealing::{NewKey, NoKey, PersonKeys, SealedPlace, Sealer};

type PersonRef = (TenantId, Identity);

/// New keys of batches that were decided and are on their way into the log.
pub type KeysInFlight = HashMap<PersonRef, NewKey>;

#[derive(Debug)]
struct CreatedPersonKey {
    person: PersonRef,
    key: NewKey,
    /// The submission that made it erases the person as well: the key is never stored.
    erased: bool,
}

pub struct BatchKeys {
    sealer: Sealer,
    keys: PersonKeys,
    made: Vec<CreatedPersonKey>,
    /// From a person to the index in `made`.
    index: HashMap<PersonRef, usize>,
    /// Unit, and index in `made`.
    uses: Vec<(u32, usize)>,
    /// Of the submission that is being decided: its unit, and how long `made` and `uses` were before it.
    begun: (u32, usize, usize),
}

impl BatchKeys {
    /// `keys`: as they were looked up.
    pub fn new(sealer: Sealer, keys: PersonKeys) -> Self {
        Self { sealer, keys, made: Vec::new(), index: HashMap::new(), uses: Vec::new(), begun: (0, 0, 0) }
    }

    /// The same, after batches that are on their way: their new keys are used, and not stored a second time. Stored again, a key
    /// that was erased meanwhile would come back.
    pub fn after(mut self, in_flight: &KeysInFlight, persons: &[PersonRef]) -> Self {
        for person in persons {
            if let Some(key) = in_flight.get(person) {
                self.keys.insert(person.clone(), key);
            }
        }
        self
    }

    /// A submission begins, as part of this unit.
    pub fn begin(&mut self, unit: u32) {
        self.begun = (unit, self.made.len(), self.uses.len());
    }

    /// The submission that was begun comes to nothing.
    pub fn undo(&mut self) {
        let (_, made, uses) = self.begun;
        for CreatedPersonKey { person, .. } in self.made.drain(made..) {
            self.keys.remove(&person);
            self.index.remove(&person);
        }
        self.uses.truncate(uses);
    }

    /// Seals under the person's key, which is made where they are known to have none.
    pub fn seal(&mut self, place: &SealedPlace<'_>, personal: &NewPersonal) -> Result<Sealed, NoKey> {
        let sealed = match self.keys.seal(place, personal) {
            Err(NoKey { tenant, subject, looked_up: true }) => {
                self.make((tenant, subject));
                self.keys.seal(place, personal)?
            }
            sealed => sealed?,
        };
        if !self.made.is_empty()
            && let Some(index) = self.index.get(&(place.tenant.clone(), personal.subject.clone()))
        {
            let (unit, made, uses) = self.begun;
            // One that the submission made itself is noted as used by it.
            if *index < made && !self.uses[uses..].contains(&(unit, *index)) {
                self.uses.push((unit, *index));
            }
        }
        Ok(sealed)
    }

    fn make(&mut self, person: PersonRef) {
        let key = self.sealer.new_key(&person.0);
        self.keys.insert(person.clone(), &key);
        self.index.insert(person.clone(), self.made.len());
        self.uses.push((self.begun.0, self.made.len()));
        self.made.push(CreatedPersonKey { person, key, erased: false });
    }

    fn made_for(&self, tenant: &TenantId, identity: &Identity) -> Option<usize> {
        if self.made.is_empty() {
            return None;
        }
        self.index.get(&(tenant.clone(), identity.clone())).copied()
    }

    /// Whether an earlier submission made the person's key: it is not in the table yet, so that it cannot be erased there.
    pub fn made_before(&self, tenant: &TenantId, identity: &Identity) -> bool {
        self.made_for(tenant, identity).is_some_and(|index| index < self.begun.1)
    }

    /// The id of the key that the submission itself made for the person, and has not erased.
    pub fn made_now(&self, tenant: &TenantId, identity: &Identity) -> Option<Uuid> {
        let made = &self.made[self.made_for(tenant, identity)?];
        (!made.erased).then(|| made.key.id())
    }

    /// The submission erases the person.
    pub fn erase(&mut self, tenant: &TenantId, identity: &Identity) {
        if let Some(index) = self.made_for(tenant, identity) {
            self.made[index].erased = true;
        }
    }

    /// What the append is to store.
    pub fn to_store(&self) -> Vec<NewPersonKey> {
        let uses = self.uses.iter().map(|(unit, index)| (*unit, &self.made[*index]));
        uses.filter(|(_, made)| !made.erased).map(|(unit, made)| stored(unit, made)).collect()
    }

    /// Those that the append is to store, for batches that are decided before it is done.
    pub fn new_keys(&self) -> impl Iterator<Item = (PersonRef, NewKey)> {
        self.made.iter().filter(|made| !made.erased).map(|made| (made.person.clone(), made.key.clone()))
    }

    /// The append is done: the keys are held for later batches. New ones of units that were left out are not stored.
    pub fn keep(mut self, appended: &Appended) {
        let mut stored = vec![false; self.made.len()];
        for (unit, index) in &self.uses {
            stored[*index] |= !appended.conflicts.contains_key(unit);
        }
        for (made, stored) in self.made.into_iter().zip(stored) {
            if stored && !made.erased {
                self.keys.stored(made.person);
            } else {
                self.keys.remove(&made.person);
            }
        }
        self.sealer.keep(&self.keys);
    }
}

fn stored(unit: u32, made: &CreatedPersonKey) -> NewPersonKey {
    NewPersonKey {
        unit,
        tenant: made.person.0.clone(),
        identity: made.person.1.clone(),
        key_id: made.key.id(),
        master: made.key.master().to_owned(),
        wrapped: made.key.wrapped().to_vec(),
    }
}
