//! `set-spotlight`: everybody sees one person large.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::SpotlightSet;
use crate::ids::Identity;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSpotlight {
    /// Somebody present.
    pub identity: Identity,
}

impl CommandSpec for SetSpotlight {
    const NAME: &'static str = "set-spotlight";
    const SUMMARY: &'static str = "Spotlight a person";
    const DESCRIPTION: &'static str = "For staff and servers. One person is in the spotlight at a time; another takes the place. It \
        clears by itself when they leave. Somebody who is in it already stays: nothing is written.";
    const EVENTS: &'static [&'static str] = &["room.spotlight-set"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::NotPresent,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("Somebody present", json!({ "identity": "user-17" }))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        staff(room, context)?;
        open.present(&self.identity)?;
        if open.spotlight.as_ref() == Some(&self.identity) {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Events(vec![SpotlightSet { identity: self.identity.clone() }.into()]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{LeaveReason, Role, RoomEvent, SpotlightSet};

    fn set(who: &str) -> RoomEvent {
        SpotlightSet { identity: id(who) }.into()
    }

    fn room() -> Given {
        given().joined("ann", Role::Viewer).joined("bob", Role::Speaker).joined("mod", Role::Moderator)
    }

    #[test]
    fn staff_puts_somebody_in_the_spotlight_and_another_takes_the_place() {
        let room = room().when(person("mod"), "set-spotlight", json!({ "identity": "ann" })).then([set("ann")]);
        let room = room.when(server(), "set-spotlight", json!({ "identity": "bob" })).then([set("bob")]);
        assert_eq!(room.open().spotlight, Some(id("bob")));
        room.when(person("mod"), "set-spotlight", json!({ "identity": "bob" })).then_nothing();
    }

    #[test]
    fn it_clears_when_its_person_leaves_and_for_nobody_else() {
        let room = room().event(set("ann"));
        assert_eq!(room.clone().event(left("bob", LeaveReason::Left)).open().spotlight, Some(id("ann")));
        assert_eq!(room.event(left("ann", LeaveReason::ConnectionLost)).open().spotlight, None);
    }

    #[test]
    fn only_somebody_present_stands_in_it() {
        room().when(person("mod"), "set-spotlight", json!({ "identity": "eve" })).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn others_do_not_set_it() {
        room().when(person("bob"), "set-spotlight", json!({ "identity": "bob" })).refused(RefusalCode::StaffOnly);
        room().when(person("eve"), "set-spotlight", json!({ "identity": "bob" })).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn it_is_set_in_an_open_room_only() {
        let body = json!({ "identity": "ann" });
        nothing().when(server(), "set-spotlight", body.clone()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "set-spotlight", body.clone()).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "set-spotlight", body).refused(RefusalCode::RoomEnded);
    }

    #[test]
    fn a_body_names_the_person() {
        assert_eq!(faults("set-spotlight", "{}")[0].field, "identity");
    }
}
