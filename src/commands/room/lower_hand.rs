//! `lower-hand`: a hand goes down, by its owner or by staff.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::oneself_or_as_staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::HandLowered;
use crate::ids::Identity;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LowerHand {
    /// Whose hand, where staff asks; absent: the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

impl CommandSpec for LowerHand {
    const NAME: &'static str = "lower-hand";
    const SUMMARY: &'static str = "Lower a hand";
    const DESCRIPTION: &'static str = "Needs the grant `room_join`; staff of any rank lowers anybody's. A hand that is not raised \
        stays so: nothing is written.";
    const EVENTS: &'static [&'static str] = &["room.hand-lowered"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::StaffOnly,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("One's own", json!({})),
            Example::new("Staff lowers somebody's", json!({ "identity": "user-17" })),
        ]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let identity = oneself_or_as_staff(room, self.identity.as_ref(), context)?;
        open.present(identity)?;
        if !open.hands.is_raised(identity) {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Events(vec![HandLowered { identity: identity.clone() }.into()]))
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

    fn two_hands() -> Given {
        let room = given().joined("ann", Role::Viewer).joined("bob", Role::Host).joined("mod", Role::Moderator);
        room.event(HandRaised { identity: id("ann") }).event(HandRaised { identity: id("bob") })
    }

    #[test]
    fn a_person_lowers_their_own_hand() {
        let room = two_hands().when(person("ann"), "lower-hand", json!({})).then([lowered("ann")]);
        assert_eq!(room.hands(), ["bob"]);
        room.when(person("ann"), "lower-hand", json!({})).then_nothing();
    }

    #[test]
    fn a_hand_raised_again_goes_to_the_end() {
        let room = two_hands().event(lowered("ann")).event(HandRaised { identity: id("ann") });
        assert_eq!(room.hands(), ["bob", "ann"]);
    }

    #[test]
    fn staff_and_servers_lower_any_hand() {
        two_hands().when(person("mod"), "lower-hand", json!({ "identity": "bob" })).then([lowered("bob")]);
        two_hands().when(server(), "lower-hand", json!({ "identity": "ann" })).then([lowered("ann")]);
        two_hands().when(server(), "lower-hand", json!({})).refused(RefusalCode::IdentityRequired);
    }

    #[test]
    fn others_lower_their_own_hand_only() {
        two_hands().when(person("ann"), "lower-hand", json!({ "identity": "bob" })).refused(RefusalCode::StaffOnly);
        two_hands().when(person("dan"), "lower-hand", json!({ "identity": "bob" })).refused(RefusalCode::StaffOnly);
        let without_grant = granted("ann", Default::default());
        two_hands().when(without_grant, "lower-hand", json!({})).refused(RefusalCode::NotGranted);
    }

    #[test]
    fn who_is_not_there_has_no_hand() {
        two_hands().when(person("bob"), "lower-hand", json!({ "identity": "eve" })).refused(RefusalCode::NotPresent);
        two_hands().when(person("eve"), "lower-hand", json!({})).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn a_hand_is_lowered_in_an_open_room_only() {
        nothing().when(server(), "lower-hand", json!({})).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "lower-hand", json!({})).refused(RefusalCode::RoomNotOpen);
        ended().when(server(), "lower-hand", json!({})).refused(RefusalCode::RoomEnded);
    }
}
