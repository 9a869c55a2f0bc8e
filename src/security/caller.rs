//! Who asks: what is left of a token once it is verified.

use super::grants::Grants;
use crate::ids::{Actor, Identity, TenantId};

/// Who asks: one verified token, or a part of the system.
#[derive(Clone, Debug)]
pub struct Caller {
    pub tenant: TenantId,
    pub actor: Actor,
    pub grants: Grants,
}

impl Caller {
    pub fn identity(&self) -> Option<&Identity> {
        self.actor.identity()
    }
}
