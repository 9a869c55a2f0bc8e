//! `lock-room`: nobody may join until it is unlocked, but staff and servers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::RoomLocked;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockRoom {}

impl CommandSpec for LockRoom {
    const NAME: &'static str = "lock-room";
    const SUMMARY: &'static str = "Lock a room";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`; also while the room is scheduled. \
        Nobody can join until it is unlocked, but staff, whom a server brings in, and whoever is present already and \
        joins again; staff still admits people from the lobby. A locked room stays locked.";
    const EVENTS: &'static [&'static str] = &["room.locked"];
    const REFUSALS: &'static [RefusalCode] =
        &[RefusalCode::NotGranted, RefusalCode::RoomNotFound, RefusalCode::RoomEnded, RefusalCode::StaffOnly];

    fn examples() -> Vec<Example> {
        vec![Example::new("Now", json!({}))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let config = room.unended()?;
        staff(room, context)?;
        if config.locked {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Events(vec![RoomLocked {}.into()]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn staff_locks_it_once() {
        let room = given().joined("ann", Role::Moderator);
        room.when(person("ann"), "lock-room", json!({}))
            .then([RoomLocked {}.into()])
            .when(person("ann"), "lock-room", json!({}))
            .then_nothing();
    }

    #[test]
    fn a_server_locks_a_scheduled_room() {
        scheduled().when(server(), "lock-room", json!({})).then([RoomLocked {}.into()]);
    }

    #[test]
    fn who_is_not_staff_locks_nothing() {
        let room = given().joined("bob", Role::Speaker);
        room.when(person("bob"), "lock-room", json!({})).refused(RefusalCode::StaffOnly);
        room.when(person("eve"), "lock-room", json!({})).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn a_room_that_ended_or_never_was_is_refused() {
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "lock-room", json!({})).refused(RefusalCode::RoomEnded);
        nothing().when(server(), "lock-room", json!({})).refused(RefusalCode::RoomNotFound);
    }
}
