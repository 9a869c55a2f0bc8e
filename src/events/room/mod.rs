//! What can happen in a room. One list names every event with its version; the structs lie in the files beside it. What happens
//! to a tenant outside its rooms ([`super::tenant`]) is in the same list, since it goes the same ways.
//!
//! The stored name and version are explicit and never follow a Rust name. A shape, once written, never changes: a change is
//! a new version here, and an upcaster in `upcast` from the old one. `tests/golden/` keeps every version ever written.

mod access;
mod audience;
mod hands;
mod lifecycle;
mod messages;
mod participants;
mod recording;
mod settings;
pub mod shapes;
mod tracks;
mod upcast;
pub mod view;

pub use access::*;
pub use audience::EventAudience;
pub use hands::*;
pub use lifecycle::*;
pub use messages::*;
pub use participants::*;
pub use recording::*;
pub use settings::*;
pub use tracks::*;
pub use upcast::DecodeError;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};

use super::tenant::PersonErased;
use crate::json::object::ObjectOnly;

macro_rules! room_events {
    ($($variant:ident = $name:literal v $version:literal,)*) => {
        /// A fact about a room, or about the tenant itself, in its newest shape.
        #[derive(Clone, Debug, PartialEq)]
        pub enum RoomEvent {
            $($variant($variant),)*
        }

        $(
            impl From<$variant> for RoomEvent {
                fn from(event: $variant) -> Self {
                    RoomEvent::$variant(event)
                }
            }
        )*

        impl RoomEvent {
            /// Every event: stored name, newest version, JSON Schema of that version.
            pub fn catalogue() -> Vec<EventKind> {
                vec![$(EventKind { name: $name, version: $version, schema: written::<$variant> },)*]
            }

            pub fn name(&self) -> &'static str {
                match self {
                    $(RoomEvent::$variant(_) => $name,)*
                }
            }

            /// The version that this program writes.
            pub fn version(&self) -> u16 {
                match self {
                    $(RoomEvent::$variant(_) => $version,)*
                }
            }

            /// The `data` to be stored.
            pub fn to_json(&self) -> Result<String, serde_json::Error> {
                match self {
                    $(RoomEvent::$variant(event) => serde_json::to_string(event),)*
                }
            }

            fn decode_newest(name: &str, json: &str) -> Result<Self, DecodeError> {
                match name {
                    $($name => serde_json::from_str(json).map(|ObjectOnly(data)| Ok(RoomEvent::$variant(data)))?,)*
                    _ => Err(DecodeError::UnknownType),
                }
            }

            /// The version that this program writes under a stored name.
            pub fn newest_version(name: &str) -> Option<u16> {
                match name {
                    $($name => Some($version),)*
                    _ => None,
                }
            }

            /// The stored name as a constant of the program, so that envelopes share it.
            pub fn static_name(name: &str) -> Option<&'static str> {
                match name {
                    $($name => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

impl RoomEvent {
    /// Whether events stored under this name may give a room its name, or let it go.
    pub fn changes_names(name: &str) -> bool {
        matches!(name, "room.created" | "room.ended")
    }
}

room_events! {
    RoomCreated = "room.created" v 1,
    SettingsChanged = "room.settings-changed" v 1,
    RoomOpened = "room.opened" v 1,
    RoomEnded = "room.ended" v 1,
    RoomLocked = "room.locked" v 1,
    RoomUnlocked = "room.unlocked" v 1,
    ParticipantWaiting = "room.participant-waiting" v 1,
    ParticipantAdmitted = "room.participant-admitted" v 1,
    ParticipantDenied = "room.participant-denied" v 1,
    ParticipantJoined = "room.participant-joined" v 1,
    ParticipantLeft = "room.participant-left" v 1,
    ParticipantRenamed = "room.participant-renamed" v 1,
    ParticipantMetadataSet = "room.participant-metadata-set" v 1,
    RoleChanged = "room.role-changed" v 1,
    HostTransferred = "room.host-transferred" v 1,
    IdentityBanned = "room.identity-banned" v 1,
    IdentityUnbanned = "room.identity-unbanned" v 1,
    HandRaised = "room.hand-raised" v 1,
    HandLowered = "room.hand-lowered" v 1,
    SpotlightSet = "room.spotlight-set" v 1,
    SpotlightCleared = "room.spotlight-cleared" v 1,
    TrackPublished = "room.track-published" v 2,
    TrackUnpublished = "room.track-unpublished" v 1,
    TrackMuted = "room.track-muted" v 1,
    TrackUnmuted = "room.track-unmuted" v 1,
    UnmuteAllowed = "room.unmute-allowed" v 1,
    RecordingStarted = "room.recording-started" v 1,
    RecordingStopped = "room.recording-stopped" v 1,
    RecordingFailed = "room.recording-failed" v 1,
    MessageSent = "room.message-sent" v 1,
    MessageEdited = "room.message-edited" v 1,
    MessageDeleted = "room.message-deleted" v 1,
    PersonErased = "person.erased" v 1,
}

/// One event of the catalogue.
pub struct EventKind {
    pub name: &'static str,
    pub version: u16,
    /// JSON Schema 2020-12 of `data`, titled as its type.
    pub schema: fn() -> schemars::Schema,
}

impl EventKind {
    /// Whether it happens in rooms; else it is of a tenant itself.
    pub fn is_of_rooms(&self) -> bool {
        self.name.starts_with("room.")
    }
}

/// The shape as it is written: a field that is always written is always there for its reader.
fn written<E: JsonSchema>() -> schemars::Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<E>()
}

impl RoomEvent {
    /// Reads stored `data` of any version ever written into the newest shape.
    pub fn decode(name: &str, version: u16, json: &str) -> Result<Self, DecodeError> {
        match Self::newest_version(name) {
            None => Err(DecodeError::UnknownType),
            Some(newest) if version == newest => Self::decode_newest(name, json),
            Some(newest) if version == 0 || version > newest => Err(DecodeError::UnknownVersion { newest }),
            Some(newest) => upcast::decode(name, version, newest, json),
        }
    }
}

/// What a person may do in a room, in rank order. `host` and `moderator` are staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Viewer,
    Speaker,
    Moderator,
    Host,
}

impl Role {
    pub fn is_staff(self) -> bool {
        self >= Role::Moderator
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Speaker => "speaker",
            Role::Moderator => "moderator",
            Role::Host => "host",
        }
    }
}

/// Whether the absence of a value or its default may be left out of the stored JSON.
fn is_false(flag: &bool) -> bool {
    !flag
}
