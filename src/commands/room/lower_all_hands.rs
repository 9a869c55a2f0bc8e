//! `lower-all-hands`: every hand goes down.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::HandLowered;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LowerAllHands {}

impl CommandSpec for LowerAllHands {
    const NAME: &'static str = "lower-all-hands";
    const SUMMARY: &'static str = "Lower all hands";
    const DESCRIPTION: &'static str = "For staff and servers. One event for each raised hand, in their order; none is written \
        where no hand is raised.";
    const EVENTS: &'static [&'static str] = &["room.hand-lowered"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("All", json!({}))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        staff(room, context)?;
        let hands = open.hands.in_order();
        Ok(Decision::Events(hands.map(|identity| HandLowered { identity: identity.clone() }.into()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{HandLowered, HandRaised, Role, RoomEvent};

    fn lowered(who: &str) -> RoomEvent {
        HandLowered { identity: id(who) }.into()
    }

    #[test]
    fn staff_lowers_all_hands_in_their_order() {
        let room = given().joined("zoe", Role::Viewer).joined("ann", Role::Viewer).joined("mod", Role::Moderator);
        let room = room.event(HandRaised { identity: id("zoe") }).event(HandRaised { identity: id("ann") });
        room.when(server(), "lower-all-hands", json!({})).then([lowered("zoe"), lowered("ann")]);
        let room = room.when(person("mod"), "lower-all-hands", json!({})).then([lowered("zoe"), lowered("ann")]);
        assert!(room.hands().is_empty());
        room.when(person("mod"), "lower-all-hands", json!({})).then_nothing();
    }

    #[test]
    fn others_do_not() {
        let room = given().joined("ann", Role::Speaker);
        room.when(person("ann"), "lower-all-hands", json!({})).refused(RefusalCode::StaffOnly);
        room.when(person("bob"), "lower-all-hands", json!({})).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn hands_are_lowered_in_an_open_room_only() {
        nothing().when(server(), "lower-all-hands", json!({})).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "lower-all-hands", json!({})).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "lower-all-hands", json!({})).refused(RefusalCode::RoomEnded);
    }
}
