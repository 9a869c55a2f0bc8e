//! What is said. A message is named by the room version of its `room.message-sent`; its text travels sealed.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Identity, RoomVersion};

/// Who may read a message, besides its author and holders of an administrator's grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    #[default]
    Everyone,
    /// Hosts and moderators.
    Staff,
    /// Named people, 1 to 100.
    Identities(BTreeSet<Identity>),
}

/// Somebody said something. Personal: `text`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageSent {
    pub author: Identity,
    pub to: Audience,
    /// The message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<RoomVersion>,
}

/// The author changed the text of a message. Personal: `text`, the new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageEdited {
    /// Room version of its `room.message-sent`.
    pub message: RoomVersion,
    pub author: Identity,
    /// As the message's own: who may read the new text.
    pub to: Audience,
}

/// A message was taken back; its text is not shown any more, and it stays deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageDeleted {
    /// Room version of its `room.message-sent`.
    pub message: RoomVersion,
    /// Deleted by staff rather than by its author.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub by_staff: bool,
}
