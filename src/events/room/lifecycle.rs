//! A room comes to be, opens and ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::settings::{Settings, SettingsPatch};
use crate::events::time::Timestamp;
use crate::json::object::object;

/// A room came to be: open, or scheduled when it has an opening time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomCreated {
    /// Unique among the tenant's rooms that have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When a scheduled room opens; absent: it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    /// All settings, with the defaults of the day written out.
    #[serde(deserialize_with = "object")]
    pub settings: Settings,
}

/// Settings changed; only those that did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsChanged {
    #[serde(deserialize_with = "object")]
    pub changed: SettingsPatch,
}

/// A scheduled room opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomOpened {
    pub reason: OpenReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OpenReason {
    /// Somebody asked.
    Requested,
    /// Its time had come.
    Due,
}

/// The room is over, for good. Everybody in it left by events before this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomEnded {
    pub reason: EndReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndReason {
    /// Somebody asked.
    Requested,
    /// Nobody was there for `empty_timeout_s`.
    Empty,
    /// It was open for `max_duration_s`.
    TooLong,
    /// It was called off before it opened.
    Cancelled,
}

/// Nobody may join until it is unlocked; staff and servers still may.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomLocked {}

/// People may join again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoomUnlocked {}
