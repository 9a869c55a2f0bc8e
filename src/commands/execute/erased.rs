//! Who is erased by a batch.
//!
//! The keys of a batch are made ready before it is decided. Whoever is erased in it must not be written of under the old key
//! by a later command of the same batch, which would read as erased without ever having been read; and once the batch is
//! written the old key is to be forgotten.

use uuid::Uuid;

use crate::events::ids::{Identity, TenantId};
use crate::security::sealing::Sealer;

/// In the order in which they were decided; hardly ever more than none.
#[derive(Debug, Default)]
pub struct Erased {
    persons: Vec<(TenantId, Identity, Option<Uuid>)>,
    /// Those of earlier submissions.
    before: usize,
}

impl Erased {
    /// A submission begins. What a group of commands erases it erases of itself too, so that it need not wait for itself.
    pub fn begin(&mut self) {
        self.before = self.persons.len();
    }

    /// The submission that was begun comes to nothing.
    pub fn undo(&mut self) {
        self.persons.truncate(self.before);
    }

    pub fn add(&mut self, tenant: TenantId, identity: Identity, key: Option<Uuid>) {
        self.persons.push((tenant, identity, key));
    }

    /// By an earlier submission.
    pub fn before_now(&self, tenant: &TenantId, identity: &Identity) -> bool {
        self.persons[..self.before].iter().any(|(of, who, _)| who == identity && of == tenant)
    }

    pub fn contains(&self, tenant: &TenantId, identity: &Identity) -> bool {
        self.persons.iter().any(|(of, who, _)| who == identity && of == tenant)
    }

    /// The batch is written, or may be: nothing is sealed or opened with their keys any more.
    pub fn forget(&self, sealer: &Sealer) {
        for (tenant, identity, key) in &self.persons {
            sealer.forget(tenant.clone(), identity.clone(), *key);
        }
    }
}
