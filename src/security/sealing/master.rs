//! Master keys: from configuration, never stored. They wrap the keys that are stored.

use std::fmt;

use uuid::Uuid;
use zeroize::Zeroizing;

use super::KeyError;
use super::cipher::{Cipher, KEY, bound};
use crate::config::KeysConfig;
use crate::ids::TenantId;

/// The master keys this process holds. New keys are wrapped under the first; all of them unwrap.
pub struct MasterKeys {
    keys: Vec<(String, Cipher)>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMasterKeys {
    #[error("there is no master key: personal fields cannot be sealed")]
    None,
    #[error("the master key {0} is there twice")]
    Twice(String),
}

impl MasterKeys {
    /// Id and bytes of each, the newest first.
    pub fn new(keys: impl IntoIterator<Item = (String, Zeroizing<[u8; KEY]>)>) -> Result<Self, BadMasterKeys> {
        let mut known: Vec<(String, Cipher)> = Vec::new();
        for (id, key) in keys {
            if known.iter().any(|(other, _)| *other == id) {
                return Err(BadMasterKeys::Twice(id));
            }
            known.push((id, Cipher::new(&key)));
        }
        if known.is_empty() { Err(BadMasterKeys::None) } else { Ok(Self { keys: known }) }
    }

    pub fn configured(config: &KeysConfig) -> Result<Self, BadMasterKeys> {
        Self::new(config.master.iter().map(|master| (master.id.clone(), Zeroizing::new(master.key))))
    }

    /// The one that new keys are wrapped under.
    pub(in crate::security) fn newest(&self) -> (&str, &Cipher) {
        let (id, key) = self.keys.first().expect("new() refuses an empty list");
        (id, key)
    }

    /// The newest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Cipher> {
        self.keys.iter().map(|(_, key)| key)
    }

    pub(in crate::security) fn get(&self, id: &str) -> Result<&Cipher, KeyError> {
        let found = self.keys.iter().find(|(known, _)| known == id);
        found.map(|(_, key)| key).ok_or_else(|| KeyError::UnknownMaster { id: id.to_owned() })
    }

    /// The key of a person, out of its wrapping.
    pub(super) fn unwrap_person(&self, tenant: &TenantId, id: Uuid, wrapped: &WrappedKey) -> Result<Cipher, KeyError> {
        let key = self.get(&wrapped.master)?.open_key(&wrapped.bytes, &person_bound(tenant, id));
        key.ok_or(KeyError::Damaged { id, master: wrapped.master.clone() })
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

/// A key as it is stored.
pub(super) struct WrappedKey {
    /// Id of the master key it is wrapped under.
    pub master: String,
    pub bytes: Vec<u8>,
}

/// What the wrapping of a person's key is bound to: a wrapped key moved to another row does not unwrap.
pub(super) fn person_bound(tenant: &TenantId, id: Uuid) -> Vec<u8> {
    bound("convoke person key 1", &[tenant.as_str().as_bytes(), id.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> (String, Zeroizing<[u8; KEY]>) {
        (id.to_owned(), Zeroizing::new([byte; KEY]))
    }

    #[test]
    fn master_keys_are_at_least_one_and_have_ids_of_their_own() {
        assert_eq!(MasterKeys::new([]).unwrap_err(), BadMasterKeys::None);
        assert_eq!(MasterKeys::new([key("a", 1), key("a", 2)]).unwrap_err(), BadMasterKeys::Twice("a".into()));
        assert_eq!(MasterKeys::new([key("b", 1), key("a", 2)]).unwrap().newest().0, "b");
    }

    #[test]
    fn printing_master_keys_shows_their_ids_only() {
        let keys = MasterKeys::new([key("2026", 65)]).unwrap();
        assert_eq!(format!("{keys:?}"), r#"["2026"]"#);
    }

    #[test]
    fn a_persons_key_unwraps_for_its_own_tenant_and_id_only() {
        let keys = MasterKeys::new([key("a", 1)]).unwrap();
        let (tenant, other) = (TenantId::new("acme").unwrap(), TenantId::new("other").unwrap());
        let id = Uuid::from_u128(7);
        let (_, bytes) = keys.newest().1.make_key(&person_bound(&tenant, id));
        let wrapped = WrappedKey { master: "a".into(), bytes };
        assert!(keys.unwrap_person(&tenant, id, &wrapped).is_ok());
        assert!(matches!(keys.unwrap_person(&other, id, &wrapped), Err(KeyError::Damaged { .. })));
        assert!(matches!(keys.unwrap_person(&tenant, Uuid::from_u128(8), &wrapped), Err(KeyError::Damaged { .. })));
        let unknown = WrappedKey { master: "b".into(), bytes: wrapped.bytes };
        assert!(matches!(keys.unwrap_person(&tenant, id, &unknown), Err(KeyError::UnknownMaster { .. })));
    }
}
