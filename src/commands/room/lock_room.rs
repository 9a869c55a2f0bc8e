//! `lock-room`: nobody may join until it is unlocked, but staff and servers.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::rights::staff;
use super::state::Room;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::RoomLocked;

#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockRoom {}

impl Command for LockRoom {
    const NAME: &'static str = "lock-room";
    const SUMMARY: &'static str = "Lock a room";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`; also while the room is scheduled. \
        Nobody can join until it is unlocked, but staff, whom a server brings in, and whoever is present already and \
        joins again; staff still admits people from the lobby. A locked room stays locked.";
    const REFUSALS: &'static [RefusalCode] =
        &[RefusalCode::NotGranted, RefusalCode::RoomNotFound, RefusalCode::RoomEnded, RefusalCode::StaffOnly];

    fn examples() -> Vec<Example> {
        vec![Example::new("Now", json!({}))]
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let charter = room.unended()?;
        staff(room, context)?;
        if charter.locked {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Facts(vec![RoomLocked {}.into()]))
    }
}
