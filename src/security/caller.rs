//! The caller: the verified content of a token.

use super::grants::Grants;
use crate::ids::{Actor, Identity, TenantId};

/// The caller: a verified token, or a part of the system.
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
