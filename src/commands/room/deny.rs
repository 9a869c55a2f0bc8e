//! `deny`: staff does not let somebody in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::admit::not_waiting;
use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{DenyReason, ParticipantDenied};
use crate::ids::Identity;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// Who waits.
    pub identity: Identity,
}

impl CommandSpec for Deny {
    const NAME: &'static str = "deny";
    const SUMMARY: &'static str = "Turn somebody in the lobby away";
    const DESCRIPTION: &'static str =
        "For staff, and for servers with `room_admin`. The person may ask again; `ban` keeps them out.";
    const EVENTS: &'static [&'static str] = &["room.participant-denied"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::NotWaiting,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("One person", json!({ "identity": "user-17" }))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        staff(room, context)?;
        let waiter = open.people.waiter(&self.identity).ok_or_else(|| not_waiting(&self.identity))?;
        let (identity, session) = (self.identity.clone(), waiter.session);
        Ok(Decision::Events(vec![ParticipantDenied { identity, session, reason: DenyReason::Denied }.into()]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn who_waits_is_turned_away_and_may_ask_again() {
        let room =
            given_with(json!({ "lobby": "everyone" })).joined("bob", Role::Moderator).waiting("ann", Role::Viewer);
        let denied = ParticipantDenied { identity: id("ann"), session: session("ann"), reason: DenyReason::Denied };
        let room = room.when(person("bob"), "deny", json!({ "identity": "ann" })).then([denied.into()]);
        room.when(person("bob"), "deny", json!({ "identity": "ann" })).refused(RefusalCode::NotWaiting);
        let room = room.when(person_of("ann", Role::Viewer), "join", json!({})).and();
        assert_eq!(room.room.waiting().len(), 1);
    }

    #[test]
    fn who_is_not_staff_denies_nobody() {
        let room = given().joined("bob", Role::Speaker).waiting("ann", Role::Viewer);
        room.when(person("bob"), "deny", json!({ "identity": "ann" })).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn a_room_that_is_not_open_is_refused() {
        let body = || json!({ "identity": "ann" });
        nothing().when(server(), "deny", body()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "deny", body()).refused(RefusalCode::RoomNotOpen);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "deny", body()).refused(RefusalCode::RoomEnded);
    }
}
