//! `unban`: staff lifts a ban.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::IdentityUnbanned;
use crate::ids::Identity;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unban {
    /// Who may come back.
    pub identity: Identity,
}

impl CommandSpec for Unban {
    const NAME: &'static str = "unban";
    const SUMMARY: &'static str = "Lift a ban";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`; also while the room is scheduled. Who is not \
        banned, or no longer, stays as they are.";
    const EVENTS: &'static [&'static str] = &["room.identity-unbanned"];
    const REFUSALS: &'static [RefusalCode] =
        &[RefusalCode::NotGranted, RefusalCode::RoomNotFound, RefusalCode::RoomEnded, RefusalCode::StaffOnly];

    fn examples() -> Vec<Example> {
        vec![Example::new("One person", json!({ "identity": "user-17" }))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let config = room.unended()?;
        staff(room, context)?;
        if !config.is_banned(&self.identity, context.now) {
            return Ok(Decision::nothing());
        }
        Ok(Decision::Events(vec![IdentityUnbanned { identity: self.identity.clone() }.into()]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn a_ban_is_lifted_once() {
        let room = given().joined("ann", Role::Moderator).event(IdentityBanned { identity: id("bob"), until: None });
        let room = room
            .when(person("ann"), "unban", json!({ "identity": "bob" }))
            .then([IdentityUnbanned { identity: id("bob") }.into()]);
        room.when(person("ann"), "unban", json!({ "identity": "bob" })).then_nothing();
        room.when(person("bob"), "join", json!({})).and();
    }

    #[test]
    fn a_ban_that_ran_out_needs_no_lifting() {
        let until = Some(given().now.plus_seconds(5));
        let room = given().event(IdentityBanned { identity: id("bob"), until }).after(5);
        room.when(server(), "unban", json!({ "identity": "bob" })).then_nothing();
    }

    #[test]
    fn a_server_lifts_a_ban_of_a_scheduled_room() {
        let room = scheduled().event(IdentityBanned { identity: id("bob"), until: None });
        room.when(server(), "unban", json!({ "identity": "bob" })).and();
    }

    #[test]
    fn who_is_not_staff_lifts_nothing() {
        let room = given().joined("ann", Role::Speaker).event(IdentityBanned { identity: id("bob"), until: None });
        room.when(person("ann"), "unban", json!({ "identity": "bob" })).refused(RefusalCode::StaffOnly);
        room.when(person("bob"), "unban", json!({ "identity": "bob" })).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn a_room_that_ended_or_never_was_is_refused() {
        let body = || json!({ "identity": "ann" });
        nothing().when(server(), "unban", body()).refused(RefusalCode::RoomNotFound);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "unban", body()).refused(RefusalCode::RoomEnded);
    }
}
