//! `open-room`: a scheduled room opens, before its time or when it has come.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::{is_deadlines, staff};
use super::state::{DueTransition, Room};
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{OpenReason, RoomOpened};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenRoom {}

impl CommandSpec for OpenRoom {
    const NAME: &'static str = "open-room";
    const SUMMARY: &'static str = "Open a scheduled room now";
    const DESCRIPTION: &'static str = "For servers with `room_admin`, since nobody is in a scheduled room. A room that is open \
        stays as it is. When its opening time comes a room opens by itself, reason `due`.";
    const EVENTS: &'static [&'static str] = &["room.opened"];
    const REFUSALS: &'static [RefusalCode] =
        &[RefusalCode::NotGranted, RefusalCode::RoomNotFound, RefusalCode::RoomEnded, RefusalCode::StaffOnly];

    fn examples() -> Vec<Example> {
        vec![Example::new("Now", json!({}))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        room.unended()?;
        let reason = if is_deadlines(context) {
            if room.due(context.now) != Some(DueTransition::Open) {
                return Ok(Decision::nothing());
            }
            OpenReason::Due
        } else {
            staff(room, context)?;
            OpenReason::Requested
        };
        match room {
            Room::Scheduled(_) => Ok(Decision::Events(vec![RoomOpened { reason }.into()])),
            Room::Absent | Room::Open(_) | Room::Ended(_) => Ok(Decision::nothing()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn a_server_opens_a_scheduled_room_before_its_time() {
        let opened = RoomOpened { reason: OpenReason::Requested };
        let room = scheduled().when(server(), "open-room", json!({})).then([opened.into()]);
        room.when(server(), "open-room", json!({})).then_nothing();
    }

    #[test]
    fn time_opens_a_room_when_it_is_due_and_not_before() {
        let opened = RoomOpened { reason: OpenReason::Due };
        scheduled().after(3599).when(deadlines(), "open-room", json!({})).then_nothing();
        let room = scheduled().after(3600).when(deadlines(), "open-room", json!({})).then([opened.into()]);
        room.when(deadlines(), "open-room", json!({})).then_nothing();
    }

    #[test]
    fn nobody_else_opens_it() {
        scheduled().when(person("ann"), "open-room", json!({})).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn a_room_that_ended_or_never_was_is_refused() {
        let over = scheduled().event(RoomEnded { reason: EndReason::Cancelled });
        over.when(server(), "open-room", json!({})).refused(RefusalCode::RoomEnded);
        nothing().when(server(), "open-room", json!({})).refused(RefusalCode::RoomNotFound);
    }
}
