//! What a token allows. The claim `grants` of a JWT has this shape; a missing grant is not given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::events::room::Role;
use crate::json::is_default;

/// Grants are additive and all off by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// The one room this token is for, by id or by name; absent: any room of the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// May join, and act as oneself in the room.
    pub room_join: bool,
    /// The highest role a join may have.
    pub role: Role,
    /// May act as staff of any rank without being in the room, and for somebody else: what a server holds. In a token for all rooms
    /// it allows to have persons erased.
    pub room_admin: bool,
    /// May create rooms.
    pub room_create: bool,
    /// May list rooms and read the log of the tenant.
    pub room_list: bool,
    /// May start and stop recordings.
    pub room_record: bool,
    /// May see how the log and the read models of all tenants stand. Only in a server's token, signed by a key that signs for all
    /// tenants.
    #[serde(skip_serializing_if = "is_default")]
    pub operator: bool,
}

impl Default for Grants {
    fn default() -> Self {
        Self {
            room: None,
            room_join: false,
            role: Role::Speaker,
            room_admin: false,
            room_create: false,
            room_list: false,
            room_record: false,
            operator: false,
        }
    }
}

impl Grants {
    /// All that is of a tenant: for a server, and for the system's own acts.
    pub fn everything() -> Self {
        Self {
            room: None,
            room_join: true,
            role: Role::Host,
            room_admin: true,
            room_create: true,
            room_list: true,
            room_record: true,
            operator: false,
        }
    }
}
