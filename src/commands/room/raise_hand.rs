//! `raise-hand`: somebody wants to speak.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::acts_for;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::HandRaised;
use crate::ids::Identity;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RaiseHand {
    /// Who raises a hand, where a server asks for somebody; absent: the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
}

impl CommandSpec for RaiseHand {
    const NAME: &'static str = "raise-hand";
    const SUMMARY: &'static str = "Raise a hand";
    const DESCRIPTION: &'static str = "Needs the grant `room_join`, or `room_admin` to raise somebody else's hand. Hands keep the \
        order in which they were raised. A hand that is up already keeps its place: nothing is written.";
    const EVENTS: &'static [&'static str] = &["room.hand-raised"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::NotPresent,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("One's own", json!({})),
            Example::new("A server raises somebody's hand", json!({ "identity": "user-17" })),
        ]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let identity = acts_for(self.identity.as_ref(), context)?;
        let open = room.open()?;
        open.present(identity)?;
        if open.hands.is_raised(identity) {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Events(vec![HandRaised { identity: identity.clone() }.into()]))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::commands::refusal::RefusalCode;
    use crate::commands::room::testing::*;
    use crate::events::room::{HandRaised, LeaveReason, Role, RoomEvent};

    fn raised(who: &str) -> RoomEvent {
        HandRaised { identity: id(who) }.into()
    }

    #[test]
    fn hands_stand_in_the_order_in_which_they_were_raised() {
        let room = given().joined("ann", Role::Viewer).joined("bob", Role::Host);
        let room = room.when(person("bob"), "raise-hand", json!({})).then([raised("bob")]);
        let room = room.when(person("ann"), "raise-hand", json!({})).then([raised("ann")]);
        assert_eq!(room.hands(), ["bob", "ann"]);
    }

    #[test]
    fn a_hand_that_is_up_keeps_its_place() {
        let room = given().joined("ann", Role::Viewer).joined("bob", Role::Viewer);
        let room = room.event(raised("ann")).event(raised("bob"));
        let room = room.when(person("ann"), "raise-hand", json!({})).then_nothing();
        assert_eq!(room.hands(), ["ann", "bob"]);
    }

    #[test]
    fn a_hand_falls_when_its_owner_leaves() {
        let room = given().joined("ann", Role::Viewer).joined("bob", Role::Viewer);
        let room = room.event(raised("ann")).event(raised("bob")).event(left("ann", LeaveReason::Left));
        assert_eq!(room.hands(), ["bob"]);
    }

    #[test]
    fn a_server_raises_the_hand_of_somebody_present() {
        let room = given().joined("ann", Role::Viewer);
        room.when(server(), "raise-hand", json!({ "identity": "ann" })).then([raised("ann")]);
        room.when(server(), "raise-hand", json!({})).refused(RefusalCode::IdentityRequired);
    }

    #[test]
    fn nobody_raises_a_hand_for_somebody_else_or_from_outside() {
        let room = given().joined("ann", Role::Host).waiting("cid", Role::Viewer);
        room.when(person("ann"), "raise-hand", json!({ "identity": "bob" })).refused(RefusalCode::NotGranted);
        room.when(person("bob"), "raise-hand", json!({})).refused(RefusalCode::NotPresent);
        room.when(person("cid"), "raise-hand", json!({})).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn a_hand_is_raised_in_an_open_room_only() {
        nothing().when(person("ann"), "raise-hand", json!({})).refused(RefusalCode::RoomNotFound);
        scheduled().when(person("ann"), "raise-hand", json!({})).refused(RefusalCode::RoomNotOpen);
        ended().when(person("ann"), "raise-hand", json!({})).refused(RefusalCode::RoomEnded);
    }
}
