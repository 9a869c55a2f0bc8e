//! Sealing and opening in memory: no database, no waiting.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::cache::KeyMoment;
use super::cipher::{Cipher, NONCE, TAG, bound};
use crate::events::sealed::{NewPersonal, PersonalFields, Sealed};
use crate::ids::{Identity, RoomId, RoomVersion, TenantId};

const FORMAT: u8 = 1;
const KEY_ID: usize = 16;

/// The event that a sealed part belongs to.
#[derive(Clone, Copy, Debug)]
pub struct SealedPlace<'a> {
    pub tenant: &'a TenantId,
    pub room: RoomId,
    pub room_version: RoomVersion,
}

impl SealedPlace<'_> {
    fn bound(&self, key: Uuid) -> Vec<u8> {
        bound(
            "convoke personal fields 1",
            &[
                self.tenant.as_str().as_bytes(),
                self.room.uuid().as_bytes(),
                &self.room_version.to_be_bytes(),
                key.as_bytes(),
            ],
        )
    }
}

/// A person's key, unwrapped.
pub struct PersonKey {
    pub(super) id: Uuid,
    pub(super) cipher: Cipher,
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonKey({})", self.id)
    }
}

pub(super) type PersonRef = (TenantId, Identity);

/// The id of the key that a sealed part was sealed under; `None` where it is not in a format of this program.
pub fn key_id(sealed: &Sealed) -> Option<Uuid> {
    let (format, rest) = sealed.0.split_first()?;
    let (id, rest) = rest.split_first_chunk::<KEY_ID>()?;
    (*format == FORMAT && rest.len() >= NONCE + TAG).then(|| Uuid::from_bytes(*id))
}

/// The person has no key here.
#[derive(Debug, thiserror::Error)]
#[error("there is no key of {subject} of {tenant} to seal with")]
pub struct NoKey {
    pub tenant: TenantId,
    pub subject: Identity,
    /// `find_keys` was asked for the person and found none; `false`: it was not asked.
    pub looked_up: bool,
}

/// A key for a person who has none yet. It is in memory only until whoever uses it stores it.
#[derive(Clone, Debug)]
pub struct NewKey {
    pub(super) key: Arc<PersonKey>,
    /// Id of the master key that it is wrapped under.
    pub(super) master: String,
    pub(super) wrapped: Vec<u8>,
}

impl NewKey {
    pub fn id(&self) -> Uuid {
        self.key.id
    }

    /// Id of the master key that it is wrapped under.
    pub fn master(&self) -> &str {
        &self.master
    }

    /// As it is stored.
    pub fn wrapped(&self) -> &[u8] {
        &self.wrapped
    }
}

/// The keys of the persons of one batch, to seal with.
#[derive(Debug)]
pub struct PersonKeys {
    /// `None`: the person has no key.
    pub(super) keys: HashMap<PersonRef, Option<Arc<PersonKey>>>,
    /// Those that the cache does not hold.
    pub(super) fresh: Vec<PersonRef>,
    /// When the table was read.
    pub(super) moment: KeyMoment,
}

impl PersonKeys {
    /// From here on the person has this key.
    pub fn insert(&mut self, person: (TenantId, Identity), key: &NewKey) {
        self.keys.insert(person, Some(key.key.clone()));
    }

    /// From here on the person has no key.
    pub fn remove(&mut self, person: &(TenantId, Identity)) {
        self.keys.insert(person.clone(), None);
    }

    /// [`Sealer::keep`](super::Sealer::keep) is to hold the person's key with the others: it is stored by now.
    pub fn stored(&mut self, person: (TenantId, Identity)) {
        self.fresh.push(person);
    }

    /// Seals what is personal about an event under its subject's key.
    pub fn seal(&self, place: &SealedPlace<'_>, personal: &NewPersonal) -> Result<Sealed, NoKey> {
        let person = (place.tenant.clone(), personal.subject.clone());
        let known = self.keys.get(&person);
        let Some(Some(key)) = known else {
            return Err(NoKey { tenant: person.0, subject: person.1, looked_up: known.is_some() });
        };
        let plain = serde_json::to_vec(&personal.fields).expect("texts and JSON values are always JSON");
        let mut bytes = Vec::with_capacity(1 + KEY_ID + NONCE + plain.len() + TAG);
        bytes.push(FORMAT);
        bytes.extend_from_slice(key.id.as_bytes());
        key.cipher.seal_onto(&mut bytes, &plain, &place.bound(key.id));
        Ok(Sealed(Bytes::from(bytes)))
    }
}

/// Why a sealed part cannot be read although its person was not erased: something is wrong with it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the sealed part is in a format that this program does not know")]
    Format,
    #[error("the sealed part was changed, or does not belong to this event")]
    Changed,
    #[error("the key {0} was not loaded before opening")]
    NotLoaded(Uuid),
}

/// The keys of some sealed parts of one tenant, to open them with.
#[derive(Debug)]
pub struct OpeningKeys {
    /// `None`: the key is gone, the person was erased.
    pub(super) keys: HashMap<Uuid, Option<Arc<PersonKey>>>,
    /// Ids of master keys that this process lacks and that wrap some of the keys.
    pub(super) locked: BTreeSet<String>,
}

impl OpeningKeys {
    /// Master keys that are missing: what is sealed under the keys that they wrap cannot be told.
    pub fn locked(&self) -> &BTreeSet<String> {
        &self.locked
    }

    /// Whether the key of a sealed part was loaded, or is known to be gone.
    pub fn can_tell(&self, sealed: &Sealed) -> bool {
        key_id(sealed).is_none_or(|id| self.keys.contains_key(&id))
    }

    /// `None`: erased. What is damaged also reads as erased, after an entry in the log of the program; see
    /// [`OpeningKeys::try_open`].
    pub fn open(&self, place: &SealedPlace<'_>, sealed: &Sealed) -> Option<PersonalFields> {
        self.try_open(place, sealed).unwrap_or_else(|problem| {
            tracing::error!(
                tenant = %place.tenant, room = %place.room, room_version = place.room_version, %problem,
                "decryption of personal fields failed"
            );
            None
        })
    }

    /// `Ok(None)`: erased.
    pub fn try_open(&self, place: &SealedPlace<'_>, sealed: &Sealed) -> Result<Option<PersonalFields>, OpenError> {
        let id = key_id(sealed).ok_or(OpenError::Format)?;
        let Some(key) = self.keys.get(&id).ok_or(OpenError::NotLoaded(id))? else {
            return Ok(None);
        };
        let plain = key.cipher.open(&sealed.0[1 + KEY_ID..], &place.bound(id)).ok_or(OpenError::Changed)?;
        serde_json::from_slice(&plain).map(Some).map_err(|_| OpenError::Format)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tenant(text: &str) -> TenantId {
        TenantId::new(text).unwrap()
    }

    fn room(number: u128) -> RoomId {
        RoomId::from_uuid(Uuid::from_u128(number))
    }

    fn keys(identity: &str, id: u128) -> (PersonKeys, OpeningKeys) {
        let key = Arc::new(PersonKey { id: Uuid::from_u128(id), cipher: Cipher::new(&[id as u8; 32]) });
        let person = (tenant("acme"), Identity::new(identity).unwrap());
        (
            PersonKeys { keys: [(person, Some(key.clone()))].into(), fresh: vec![], moment: KeyMoment::default() },
            OpeningKeys { keys: [(key.id, Some(key))].into(), locked: BTreeSet::new() },
        )
    }

    fn named(subject: &str, name: &str) -> NewPersonal {
        NewPersonal {
            subject: Identity::new(subject).unwrap(),
            fields: PersonalFields { display_name: Some(name.into()), ..Default::default() },
        }
    }

    #[test]
    fn a_sealed_part_opens_at_its_own_place_only() {
        let (seal, open) = keys("alice", 1);
        let here = SealedPlace { tenant: &tenant("acme"), room: room(1), room_version: 7 };
        let personal = named("alice", "Alice");
        let sealed = seal.seal(&here, &personal).unwrap();
        assert_eq!(open.try_open(&here, &sealed), Ok(Some(personal.fields)));
        for elsewhere in [
            SealedPlace { tenant: &tenant("other"), ..here },
            SealedPlace { room: room(2), ..here },
            SealedPlace { room_version: 8, ..here },
        ] {
            assert_eq!(open.try_open(&elsewhere, &sealed), Err(OpenError::Changed));
            assert_eq!(open.open(&elsewhere, &sealed), None);
        }
    }

    #[test]
    fn a_sealed_part_says_nothing_in_the_clear_but_its_key() {
        let (seal, _) = keys("alice", 1);
        let here = SealedPlace { tenant: &tenant("acme"), room: room(1), room_version: 7 };
        let sealed = seal.seal(&here, &named("alice", "Alice Liddell")).unwrap();
        assert_eq!(key_id(&sealed), Some(Uuid::from_u128(1)));
        for secret in ["Alice", "Liddell", "alice", "display_name"] {
            assert!(!sealed.0.windows(secret.len()).any(|window| window == secret.as_bytes()));
        }
    }

    #[test]
    fn with_the_key_gone_it_reads_as_erased_and_with_the_key_not_asked_for_as_an_error() {
        let (seal, mut open) = keys("alice", 1);
        let here = SealedPlace { tenant: &tenant("acme"), room: room(1), room_version: 7 };
        let sealed = seal.seal(&here, &named("alice", "Alice")).unwrap();
        open.keys.insert(Uuid::from_u128(1), None);
        assert_eq!(open.try_open(&here, &sealed), Ok(None));
        open.keys.clear();
        assert_eq!(open.try_open(&here, &sealed), Err(OpenError::NotLoaded(Uuid::from_u128(1))));
    }

    #[test]
    fn nothing_is_sealed_under_another_persons_key() {
        let (seal, _) = keys("alice", 1);
        let here = SealedPlace { tenant: &tenant("acme"), room: room(1), room_version: 7 };
        let missing = seal.seal(&here, &named("bob", "Bob")).unwrap_err();
        assert_eq!((missing.subject.as_str(), missing.looked_up), ("bob", false));
        let there = SealedPlace { tenant: &tenant("other"), ..here };
        assert!(seal.seal(&there, &named("alice", "Alice")).is_err(), "alice of another tenant is somebody else");
    }

    proptest! {
        #[test]
        fn any_fields_come_back_as_they_were(
            name in proptest::option::of(".{0,64}"), text in proptest::option::of("(?s).{0,512}"), number in any::<i64>(),
            version in any::<u64>(),
        ) {
            let (seal, open) = keys("alice", 1);
            let acme = tenant("acme");
            let here = SealedPlace { tenant: &acme, room: room(1), room_version: version };
            let fields =
                PersonalFields { display_name: name, metadata: serde_json::from_value(serde_json::json!({ "n": [number] })).ok(), text };
            let sealed = seal.seal(&here, &NewPersonal { fields: fields.clone(), ..named("alice", "") }).unwrap();
            prop_assert_eq!(open.try_open(&here, &sealed), Ok(Some(fields)));
        }

        #[test]
        fn any_bytes_at_all_are_opened_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (_, open) = keys("alice", 1);
            let acme = tenant("acme");
            let here = SealedPlace { tenant: &acme, room: room(1), room_version: 1 };
            prop_assert!(open.try_open(&here, &Sealed(bytes.clone().into())).is_err());
            let mut ours = vec![FORMAT];
            ours.extend_from_slice(Uuid::from_u128(1).as_bytes());
            ours.extend_from_slice(&bytes);
            prop_assert!(open.try_open(&here, &Sealed(ours.into())).is_err());
        }
    }
}
