//! The persons that a batch erases.
//!
//! The executor reads whether a person has a key immediately before it decides the batch. If another process erases the person
//! meanwhile, it writes to the stream of the same tenant; this batch then conflicts and is decided again with a new read. So each
//! deleted key has exactly one event.
//!
//! The executor reads the keys for sealing at the same time. A later command of the batch must not seal data of an erased person
//! under the old key, since nobody could ever read them. After the append, the old key is removed from memory.

use std::collections::HashMap;

use uuid::Uuid;

use super::pending_commands::PendingCommands;
use crate::ids::{Identity, TenantId};
use crate::security::sealing::{KeyError, Sealer};

#[derive(Debug, Default)]
pub struct PendingErasures {
    /// Of those whom the batch may erase, the ids of the keys that are there.
    keys: HashMap<(TenantId, Identity), Uuid>,
    /// In the order in which they were decided; hardly ever more than none.
    persons: Vec<(TenantId, Identity)>,
    /// Those of earlier submissions.
    before: usize,
}

impl PendingErasures {
    pub async fn ask<T>(submissions: &[PendingCommands<T>], sealer: &Sealer) -> Result<Self, KeyError> {
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
