//! Who is kept out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::events::time::Timestamp;
use crate::ids::Identity;

/// Somebody is kept out. Those who were there left by an event of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityBanned {
    pub identity: Identity,
    /// Until when; absent: for as long as the room is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Somebody is no longer kept out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityUnbanned {
    pub identity: Identity,
}
