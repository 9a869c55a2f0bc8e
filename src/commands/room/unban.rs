//! `unban`: staff lifts a ban.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::rights::staff;
use super::state::Room;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::ids::Identity;
use crate::events::room::IdentityUnbanned;

#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unban {
    /// Who may come back.
    pub identity: Identity,
}

impl Command for Unban {
    const NAME: &'static str = "unban";
    const SUMMARY: &'static str = "Lift a ban";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`; also while the room is scheduled. Who is not \
        banned, or no longer, stays as they are.";
    const REFUSALS: &'static [RefusalCode] =
        &[RefusalCode::NotGranted, RefusalCode::RoomNotFound, RefusalCode::RoomEnded, RefusalCode::StaffOnly];

    fn examples() -> Vec<Example> {
        vec![Example::new("One person", json!({ "identity": "user-17" }))]
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let charter = room.unended()?;
        staff(room, context)?;
        if !charter.is_banned(&self.identity, context.now) {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Facts(vec![IdentityUnbanned { identity: self.identity.clone() }.into()]))
    }
}
