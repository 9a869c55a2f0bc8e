//! People come and go. What is personal of them (display name, metadata) travels sealed beside these.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Role;
use crate::ids::{Identity, SessionId};

/// Somebody asked to join and waits in the lobby. Personal: `display_name`, `metadata`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantWaiting {
    pub identity: Identity,
    /// The stay that begins when they are admitted.
    pub session: SessionId,
    pub role: Role,
}

/// Staff let somebody in; `room.participant-joined` follows in the same append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantAdmitted {
    pub identity: Identity,
    pub session: SessionId,
}

/// Somebody who waited is no longer waiting and did not get in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantDenied {
    pub identity: Identity,
    pub session: SessionId,
    pub reason: DenyReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DenyReason {
    /// Staff said no.
    Denied,
    /// They gave up waiting.
    Withdrawn,
    /// They asked again; the newer request waits.
    Replaced,
    Banned,
    RoomEnded,
}

/// A stay began. Personal: `display_name`, `metadata` (absent for one who was admitted: they are with the waiting event, and
/// stay those of the person).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantJoined {
    pub identity: Identity,
    pub session: SessionId,
    pub role: Role,
}

/// A stay ended. Its tracks end with it; when it was the person's last, the hand falls and the spotlight clears.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantLeft {
    pub identity: Identity,
    pub session: SessionId,
    pub reason: LeaveReason,
    /// Whole seconds stayed, by the times at which join and leave happened.
    pub seconds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeaveReason {
    /// Went by themselves.
    Left,
    /// Joined again elsewhere.
    Replaced,
    Removed,
    Banned,
    ConnectionLost,
    RoomEnded,
}

impl LeaveReason {
    pub fn as_str(self) -> &'static str {
        match self {
            LeaveReason::Left => "left",
            LeaveReason::Replaced => "replaced",
            LeaveReason::Removed => "removed",
            LeaveReason::Banned => "banned",
            LeaveReason::ConnectionLost => "connection-lost",
            LeaveReason::RoomEnded => "room-ended",
        }
    }
}

/// Somebody has another name to show. Personal: `display_name`, the new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantRenamed {
    pub identity: Identity,
}

/// The metadata of somebody was replaced. Personal: `metadata`, the new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParticipantMetadataSet {
    pub identity: Identity,
}

/// Somebody has another role. Tracks that the new role may not publish ended by events beside this one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RoleChanged {
    pub identity: Identity,
    pub from: Role,
    pub to: Role,
}

/// Somebody became host. The one it was taken from, if any and still there, is a moderator from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostTransferred {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Identity>,
    pub to: Identity,
}
