//! Media that people publish.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;
use crate::ids::{Identity, SessionId, TrackId};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrackKind {
    Audio,
    Video,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TrackSource {
    Microphone,
    Camera,
    Screen,
    ScreenAudio,
}

/// What the `publish` setting speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishKind {
    Audio,
    Video,
    Screen,
}

impl TrackSource {
    pub fn as_str(self) -> &'static str {
        match self {
            TrackSource::Microphone => "microphone",
            TrackSource::Camera => "camera",
            TrackSource::Screen => "screen",
            TrackSource::ScreenAudio => "screen-audio",
        }
    }

    pub fn kind(self) -> TrackKind {
        match self {
            TrackSource::Microphone | TrackSource::ScreenAudio => TrackKind::Audio,
            TrackSource::Camera | TrackSource::Screen => TrackKind::Video,
        }
    }

    pub fn publish_kind(self) -> PublishKind {
        match self {
            TrackSource::Microphone => PublishKind::Audio,
            TrackSource::Camera => PublishKind::Video,
            TrackSource::Screen | TrackSource::ScreenAudio => PublishKind::Screen,
        }
    }
}

/// A track began. Version 2: `width` and `height`; version 1 had `resolution`, "1280x720".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackPublished {
    pub track: TrackId,
    pub identity: Identity,
    pub session: SessionId,
    pub kind: TrackKind,
    pub source: TrackSource,
    /// As in SDP: `opus`, `VP8`, `AV1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
    /// Pixels; video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels; video only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// It began muted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub muted: bool,
}

/// A track ended while its owner stayed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackUnpublished {
    pub track: TrackId,
    pub reason: UnpublishReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnpublishReason {
    Unpublished,
    /// Another screen took its place.
    Replaced,
    /// Its owner's role no longer may publish it.
    RoleChanged,
}

/// A track fell silent (or dark).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackMuted {
    pub track: TrackId,
    /// Muted by staff: its owner cannot unmute it before staff allows it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub by_staff: bool,
}

/// A track is heard (or seen) again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrackUnmuted {
    pub track: TrackId,
}

/// Staff released what it had muted of a person; the tracks stay muted until their owner unmutes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UnmuteAllowed {
    pub identity: Identity,
}
