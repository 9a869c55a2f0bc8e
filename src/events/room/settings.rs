//! The settings of a room. [`Settings`] is stored whole when a room is created; changes are stored as a [`SettingsPatch`].

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::Role;
use super::tracks::PublishKind;
use crate::events::heap;
use crate::json::FreeJson;
use crate::json::object::{object, object_or_null};
use crate::json::whole_number::{given_whole_or_null, whole, whole_or_null};

pub const MAX_PARTICIPANTS: u32 = 100_000;
/// Of a room's metadata, as JSON text.
pub const MAX_METADATA_BYTES: usize = 64 * 1024;
pub const MAX_LABELS: usize = 32;
/// Of a label's key and of its value.
pub const MAX_LABEL_CHARS: usize = 63;

/// Who has to wait in the lobby until staff admits them. Staff never waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lobby {
    #[default]
    Off,
    /// Viewers wait.
    Guests,
    Everyone,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Chat {
    #[default]
    Everyone,
    Staff,
    Off,
}

/// What a second screen share does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OneScreen {
    /// Any number of screens at a time.
    #[default]
    Off,
    /// A second screen is refused.
    Refuse,
    /// A second screen replaces the first.
    Replace,
}

/// What happens when somebody joins who is already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DuplicateIdentity {
    /// The older session leaves, reason `replaced`.
    #[default]
    Replace,
    /// The join is refused.
    Refuse,
    /// Several devices of one person; counted once.
    Allow,
}

/// Which roles may publish what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRights {
    pub audio: BTreeSet<Role>,
    pub video: BTreeSet<Role>,
    pub screen: BTreeSet<Role>,
}

impl PublishRights {
    pub fn of(&self, kind: PublishKind) -> &BTreeSet<Role> {
        match kind {
            PublishKind::Audio => &self.audio,
            PublishKind::Video => &self.video,
            PublishKind::Screen => &self.screen,
        }
    }
}

impl Default for PublishRights {
    fn default() -> Self {
        let roles = BTreeSet::from([Role::Speaker, Role::Moderator, Role::Host]);
        Self { audio: roles.clone(), video: roles.clone(), screen: roles }
    }
}

/// All settings of a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Most people at once, 1 to 100,000; null: no limit but the greatest.
    #[serde(deserialize_with = "whole_or_null")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_participants: Option<u32>,
    pub lobby: Lobby,
    /// Microphones begin muted, as if by their owner.
    pub mute_on_entry: bool,
    #[serde(deserialize_with = "object")]
    pub publish: PublishRights,
    pub one_screen: OneScreen,
    pub chat: Chat,
    /// Whether people may write to named others.
    pub direct_messages: bool,
    /// Whether people may rename themselves.
    pub self_rename: bool,
    pub duplicate_identity: DuplicateIdentity,
    /// Ends a room that was empty this long, in seconds; null: never.
    #[serde(deserialize_with = "whole_or_null")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub empty_timeout_s: Option<u32>,
    /// How long a lost connection may stay away before its person has left, in seconds.
    #[serde(deserialize_with = "whole")]
    #[schemars(range(min = 1, max = 86_400))]
    pub departure_timeout_s: u32,
    /// Ends a room that was open this long, in seconds; null: never.
    #[serde(deserialize_with = "whole_or_null")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub max_duration_s: Option<u32>,
    /// The caller's own data on the room: any JSON, at most 64 KiB as text. Not sealed: nothing personal belongs here.
    pub metadata: FreeJson,
    /// At most 32; lists can filter by them. Keys are of `A-Za-z0-9._/-`, keys and values of at most 63 characters.
    pub labels: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_participants: None,
            lobby: Lobby::default(),
            mute_on_entry: false,
            publish: PublishRights::default(),
            one_screen: OneScreen::default(),
            chat: Chat::default(),
            direct_messages: true,
            self_rename: true,
            duplicate_identity: DuplicateIdentity::default(),
            empty_timeout_s: None,
            departure_timeout_s: 20,
            max_duration_s: None,
            metadata: FreeJson::null(),
            labels: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Bytes that they take in memory beyond themselves, at most.
    pub fn heap_bytes(&self) -> usize {
        let labels = self.labels.iter().map(|(key, value)| heap::text(key.len()) + heap::text(value.len()));
        // Three sets of at most a handful of roles: one node each.
        let publish = 3 * heap::tree(1, size_of::<Role>());
        let labels = heap::tree(self.labels.len(), size_of::<(String, String)>()) + labels.sum::<usize>();
        heap::text(self.metadata.text().len()) + labels + publish
    }
}

/// Some settings: what a caller wants changed, and what a change was. A missing field stays as it is; `null` where it is
/// allowed is a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsPatch {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_whole_or_null")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 100_000))]
    pub max_participants: Option<Option<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lobby: Option<Lobby>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute_on_entry: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object_or_null")]
    pub publish: Option<PublishRights>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_screen: Option<OneScreen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<Chat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_messages: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_rename: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate_identity: Option<DuplicateIdentity>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_whole_or_null")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 31_536_000))]
    pub empty_timeout_s: Option<Option<u32>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole_or_null")]
    #[schemars(range(min = 1, max = 86_400))]
    pub departure_timeout_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_whole_or_null")]
    #[schemars(with = "Option<u32>", range(min = 1, max = 31_536_000))]
    pub max_duration_s: Option<Option<u32>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    #[schemars(with = "FreeJson")]
    pub metadata: Option<FreeJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
}

/// A field that is there, be it `null`.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

macro_rules! settings_fields {
    ($($field:ident),* $(,)?) => {
        impl Settings {
            /// Takes the fields of `patch`.
            pub fn apply(&mut self, patch: &SettingsPatch) {
                $(if let Some(value) = &patch.$field {
                    self.$field = value.clone();
                })*
            }

            /// What of `patch` would change these settings; `None` where nothing would.
            pub fn difference(&self, patch: &SettingsPatch) -> Option<SettingsPatch> {
                let mut changed = SettingsPatch::default();
                $(if let Some(value) = &patch.$field && *value != self.$field {
                    changed.$field = Some(value.clone());
                })*
                (changed != SettingsPatch::default()).then_some(changed)
            }
        }
    };
}

settings_fields!(
    max_participants,
    lobby,
    mute_on_entry,
    publish,
    one_screen,
    chat,
    direct_messages,
    self_rename,
    duplicate_identity,
    empty_timeout_s,
    departure_timeout_s,
    max_duration_s,
    metadata,
    labels,
);
