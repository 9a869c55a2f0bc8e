//! What can happen to a tenant outside its rooms.
//!
//! Such events lie in a stream of the tenant's own, beside those of its rooms and in every way like one of them: with versions
//! and a chain of hashes of its own. Its place is [`RoomId::TENANT`](crate::ids::RoomId::TENANT), which no room can have.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::Identity;

/// A person was erased: the key that their names, messages and metadata are encrypted under is gone. What was written of them
/// before this reads as erased, in every room of the tenant, for good. Of the tenant itself, in no room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PersonErased {
    pub identity: Identity,
}
