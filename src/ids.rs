//! The names of things and their places in the log. Each id is a type of its own, so that a room is never taken for a
//! session, and is checked where it comes in: a value of these types is valid.
//!
//! Everything may use this file; it uses only how JSON quotes a text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Place of an event in the whole log: from 1, gapless, in commit order.
pub type Position = u64;

/// Place of an event in its room: from 1, gapless.
pub type RoomVersion = u64;

/// A room of a tenant: the full name of a stream. The same room id under another tenant is another room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomKey {
    pub tenant: TenantId,
    pub room: RoomId,
}

/// Why a name was not taken. The text is fit for a problem response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    #[error("a tenant is 1 to 63 of a-z, 0-9, '-' and '_', and begins with a letter or digit")]
    Tenant,
    #[error("an identity is 1 to 128 characters, without control characters")]
    Identity,
    #[error("not a UUID of version 7, such as 01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11")]
    Uuid,
    #[error("an actor is user:IDENTITY, key:KEY or system:PART")]
    Actor,
}

/// Whose room it is; part of every key. At most 63 characters of `a-z0-9_-`: safe in a topic name, a path and a SQL setting.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    pub fn new(text: &str) -> Result<Self, BadId> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if first && rest && text.len() <= 63 { Ok(Self(text.into())) } else { Err(BadId::Tenant) }
    }
}

/// The caller's name for a person within a tenant (`sub` of the token). At most 128 characters. Not a personal field: it
/// stays in the clear in the log, so callers should use a number or an opaque id, not an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    pub const MAX_CHARS: usize = 128;

    pub fn new(text: &str) -> Result<Self, BadId> {
        let chars = text.chars().count();
        let clean = !text.chars().any(char::is_control) && text.trim() == text;
        if (1..=Self::MAX_CHARS).contains(&chars) && clean { Ok(Self(text.into())) } else { Err(BadId::Identity) }
    }
}

macro_rules! text_id {
    ($name:ident, $schema:tt) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// In double quotes, as it stands in sentences.
            pub fn quoted(&self) -> String {
                crate::json::quoted(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!($schema)
            }
        }
    };
}

text_id!(TenantId, { "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$" });
text_id!(Identity, {
    "type": "string", "minLength": 1, "maxLength": 128,
    "description": "The caller's name for a person (`sub` of the token)",
});

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $about:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// Of a UUID that this program made or read from the log. What comes from a caller goes through `FromStr`.
            pub fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            /// Takes a hyphenated UUID of version 7 only.
            fn from_str(text: &str) -> Result<Self, BadId> {
                let id = Uuid::parse_str(text).map_err(|_| BadId::Uuid)?;
                (text.len() == 36 && id.get_version_num() == 7).then_some(Self(id)).ok_or(BadId::Uuid)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": "uuid", "description": $about })
            }
        }
    };
}

uuid_id!(
    /// A room; UUIDv7, the server's or the caller's own.
    RoomId, "A room; UUIDv7");
impl RoomId {
    /// No room: under this id lie the events of a tenant itself ([`crate::events::tenant`]). It is never read from a caller, since it is no
    /// UUID of version 7.
    pub const TENANT: Self = Self(Uuid::nil());
}

uuid_id!(
    /// One stay, from a join to exactly one leave; the id of the command that joined.
    SessionId, "One stay of a person in a room; UUIDv7");
uuid_id!(
    /// A published track; the id of the command that published it.
    TrackId, "A published track; UUIDv7");
uuid_id!(
    /// A recording; the id of the command that started it.
    RecordingId, "A recording; UUIDv7");
uuid_id!(
    /// One command, made where it came in. What it creates (a session, a track, a recording) takes this id.
    CommandId, "One command; UUIDv7");

/// Who did it: a person, a server holding an API key, or a part of the system. Written `user:alice`, `key:prod-1`,
/// `system:deadlines`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    Person(Identity),
    Key(Arc<str>),
    System(Arc<str>),
}

impl Actor {
    /// What it is, with the colon, and its name: one after the other is the actor as it is written.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Actor::Person(identity) => ("user:", identity.as_str()),
            Actor::Key(key) => ("key:", key),
            Actor::System(part) => ("system:", part),
        }
    }

    pub fn identity(&self) -> Option<&Identity> {
        match self {
            Actor::Person(identity) => Some(identity),
            Actor::Key(_) | Actor::System(_) => None,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        f.write_str(kind)?;
        f.write_str(name)
    }
}

impl FromStr for Actor {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        match text.split_once(':') {
            Some(("user", identity)) => Ok(Actor::Person(Identity::new(identity)?)),
            Some(("key", key)) if !key.is_empty() => Ok(Actor::Key(key.into())),
            Some(("system", part)) if !part.is_empty() => Ok(Actor::System(part.into())),
            _ => Err(BadId::Actor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_safe_in_a_path_a_topic_and_a_setting() {
        for good in ["a", "0", "acme", "acme-eu_2", &"a".repeat(63)] {
            assert_eq!(TenantId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "Acme", "a b", "a/b", "a.b", "ä", "a\0", "a'", &"a".repeat(64)] {
            assert_eq!(TenantId::new(bad), Err(BadId::Tenant), "{bad:?}");
        }
    }

    #[test]
    fn an_identity_is_1_to_128_characters_of_any_script_without_control_characters() {
        for good in ["a", "user:7", "josé éà", "名前", "🙂", &"é".repeat(128)] {
            assert_eq!(Identity::new(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", " a", "a ", "a\n", "a\0b", "a\u{85}b", &"é".repeat(129)] {
            assert_eq!(Identity::new(bad), Err(BadId::Identity), "{bad:?}");
        }
    }

    #[test]
    fn an_id_of_a_caller_is_a_hyphenated_uuid_of_version_7() {
        let text = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";
        let room: RoomId = text.parse().unwrap();
        assert_eq!(room.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<RoomId>().unwrap(), room, "case does not matter");
        for bad in [
            "",
            "standup",
            "01936d2e7c1a7b3e8a440f0a4f5d2c11",
            "{01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11}",
            "urn:uuid:01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11",
            "01936d2e-7c1a-4b3e-8a44-0f0a4f5d2c11",
            "00000000-0000-0000-0000-000000000000",
            "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c1g",
        ] {
            assert_eq!(bad.parse::<RoomId>(), Err(BadId::Uuid), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_json_strings_and_are_checked_when_read() {
        let json = "\"01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11\"";
        let session: SessionId = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&session).unwrap(), json);
        let identity: Identity = serde_json::from_str("\"al\\u0069ce\"").unwrap();
        assert_eq!(identity.as_str(), "alice");
        assert!(serde_json::from_str::<Identity>("\"a\\u0000\"").is_err());
        assert!(serde_json::from_str::<Identity>("\"\\ud800\"").is_err());
        assert!(serde_json::from_str::<TenantId>("7").is_err());
    }

    #[test]
    fn an_actor_reads_as_it_was_written() {
        for text in ["user:alice", "user:a:b", "key:prod-1", "system:deadlines"] {
            assert_eq!(text.parse::<Actor>().unwrap().to_string(), text);
        }
        for bad in ["", "alice", "key:", "system:", "root:alice"] {
            assert_eq!(bad.parse::<Actor>(), Err(BadId::Actor), "{bad:?}");
        }
        assert_eq!("user:".parse::<Actor>(), Err(BadId::Identity));
        assert_eq!("key:alice".parse::<Actor>().unwrap().identity(), None, "a key is nobody in the room");
    }
}
