//! Who is erased by a batch.
//!
//! Whether somebody has a key to lose is asked right before the batch is decided. Another process that erases them meanwhile
//! writes to the stream of the same tenant: this batch is then left out and decided again, and asks again. So there is one
//! event for each key that goes.
//!
//! The keys to seal with are made ready at the same time. Whoever is erased in the batch must not be written of under the old
//! key by a later command of it, which would read as erased without ever having been read; and once the batch is written the
//! old key is to be forgotten.

use std::collections::HashMap;

use uuid::Uuid;

use super::submission::Submission;
use crate::ids::{Identity, TenantId};
use crate::security::sealing::{KeyError, Sealer};

#[derive(Debug, Default)]
pub struct Erased {
    /// Of those whom the batch may erase, the ids of the keys that are there.
    keys: HashMap<(TenantId, Identity), Uuid>,
    /// In the order in which they were decided; hardly ever more than none.
    persons: Vec<(TenantId, Identity)>,
    /// Those of earlier submissions.
    before: usize,
}

impl Erased {
    pub async fn ask<T>(submissions: &[Submission<T>], sealer: &Sealer) -> Result<Self, KeyError> {
        let requests = submissions.iter().flat_map(|submission| submission.requests.iter());
        let persons: Vec<_> = requests
            .filter_map(|request| Some((request.caller.tenant.clone(), request.command.erases()?.clone())))
            .collect();
        Ok(Self { keys: sealer.keys_of(&persons).await?, ..Self::default() })
    }

    /// The key that the person has to lose.
    pub fn key_of(&self, tenant: &TenantId, identity: &Identity) -> Option<Uuid> {
        let person = (tenant.clone(), identity.clone());
        self.keys.get(&person).copied().filter(|_| !self.persons.contains(&person))
    }

    /// A submission begins. What a group of commands erases it erases of itself too, so that it need not wait for itself.
    pub fn begin(&mut self) {
        self.before = self.persons.len();
    }

    /// The submission that was begun comes to nothing.
    pub fn undo(&mut self) {
        self.persons.truncate(self.before);
    }

    pub fn add(&mut self, tenant: TenantId, identity: Identity) {
        self.persons.push((tenant, identity));
    }

    /// By an earlier submission.
    pub fn before_now(&self, tenant: &TenantId, identity: &Identity) -> bool {
        self.persons[..self.before].iter().any(|(of, who)| who == identity && of == tenant)
    }

    /// The batch is written, or may be: nothing is sealed or opened with their keys any more.
    pub fn forget(self, sealer: &Sealer) {
        for person in self.persons {
            let key = self.keys.get(&person).copied();
            let (tenant, identity) = person;
            sealer.forget(tenant, identity, key);
        }
    }
}
