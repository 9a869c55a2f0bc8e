//! Personal fields: what of an event says something about a person that the person may want forgotten.
//!
//! Rules write them in the clear ([`NewPersonal`]); before they reach the log they are encrypted under a key of that
//! person ([`Sealed`], made by `security::sealing`). With the key gone the event reads as erased and the log still
//! verifies. No rule ever looks inside, so that what may happen in a room never depends on what can be erased.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{Identity, RoomVersion};
use crate::json::FreeJson;

/// The personal part of a new event, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct NewPersonal {
    pub subject: Identity,
    pub fields: PersonalFields,
}

/// All that an event may hold of a person. Absent fields are not part of the event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PersonalFields {
    /// The name to show, at most 256 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The caller's own data on a person: any JSON, at most 16 KiB as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<FreeJson>,
    /// The text of a message, at most 8 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl PersonalFields {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Encrypted personal fields, opaque to all but `security::sealing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed(pub Bytes);

/// In JSON: base64 with padding.
impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(|bytes| Sealed(bytes.into())).map_err(serde::de::Error::custom)
    }
}

/// A sealed part together with the place it was written at, which its encryption is bound to. States and snapshots carry
/// these, never clear text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedAt {
    pub room_version: RoomVersion,
    pub sealed: Sealed,
}
