//! `unlock-room`: people may join again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::RoomUnlocked;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnlockRoom {}

impl CommandSpec for UnlockRoom {
    const NAME: &'static str = "unlock-room";
    const SUMMARY: &'static str = "Unlock a room";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`; also while the room is scheduled. \
        People can join again. A room that is not locked stays as it is.";
    const EVENTS: &'static [&'static str] = &["room.unlocked"];
    const REFUSALS: &'static [RefusalCode] =
        &[RefusalCode::NotGranted, RefusalCode::RoomNotFound, RefusalCode::RoomEnded, RefusalCode::StaffOnly];

    fn examples() -> Vec<Example> {
        vec![Example::new("Now", json!({}))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let config = room.unended()?;
        staff(room, context)?;
        if !config.locked {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Events(vec![RoomUnlocked {}.into()]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn staff_unlocks_it_once() {
        let room = given().joined("ann", Role::Moderator).event(RoomLocked {});
        room.when(person("ann"), "unlock-room", json!({}))
            .then([RoomUnlocked {}.into()])
            .when(person("ann"), "unlock-room", json!({}))
            .then_nothing();
    }

    #[test]
    fn a_server_unlocks_a_scheduled_room() {
        scheduled().event(RoomLocked {}).when(server(), "unlock-room", json!({})).then([RoomUnlocked {}.into()]);
    }

    #[test]
    fn who_is_not_staff_unlocks_nothing() {
        let room = given().joined("bob", Role::Speaker);
        room.when(person("bob"), "unlock-room", json!({})).refused(RefusalCode::StaffOnly);
        room.when(person("eve"), "unlock-room", json!({})).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn a_room_that_ended_or_never_was_is_refused() {
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "unlock-room", json!({})).refused(RefusalCode::RoomEnded);
        nothing().when(server(), "unlock-room", json!({})).refused(RefusalCode::RoomNotFound);
    }
}
