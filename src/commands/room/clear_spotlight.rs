//! `clear-spotlight`: nobody is shown large any longer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::SpotlightCleared;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClearSpotlight {}

impl CommandSpec for ClearSpotlight {
    const NAME: &'static str = "clear-spotlight";
    const SUMMARY: &'static str = "Clear the spotlight";
    const DESCRIPTION: &'static str = "For staff and servers. Nothing is written where nobody is in the spotlight.";
    const EVENTS: &'static [&'static str] = &["room.spotlight-cleared"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("Clear it", json!({}))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        staff(room, context)?;
        if open.spotlight.is_none() {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Events(vec![SpotlightCleared {}.into()]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{Role, SpotlightCleared, SpotlightSet};

    fn room() -> Given {
        let room = given().joined("ann", Role::Speaker).joined("mod", Role::Moderator);
        room.event(SpotlightSet { identity: id("ann") })
    }

    #[test]
    fn staff_clears_the_spotlight() {
        let room = room().when(person("mod"), "clear-spotlight", json!({})).then([SpotlightCleared {}.into()]);
        assert_eq!(room.open().spotlight, None);
        room.when(server(), "clear-spotlight", json!({})).then_nothing();
    }

    #[test]
    fn others_do_not_even_who_stands_in_it() {
        room().when(person("ann"), "clear-spotlight", json!({})).refused(RefusalCode::StaffOnly);
        room().when(person("eve"), "clear-spotlight", json!({})).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn it_is_cleared_in_an_open_room_only() {
        nothing().when(server(), "clear-spotlight", json!({})).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "clear-spotlight", json!({})).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "clear-spotlight", json!({})).refused(RefusalCode::RoomEnded);
    }
}
