//! `admit-all`: staff lets in everybody who waits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::admit::admission;
use super::join::full;
use super::rights::staff;
use super::state::Room;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdmitAll {}

impl CommandSpec for AdmitAll {
    const NAME: &'static str = "admit-all";
    const SUMMARY: &'static str = "Admit everybody from the lobby";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`. In the order in which they asked, as many as the \
        room has places for; refused where it has none. Nobody waits, nothing is written.";
    const EVENTS: &'static [&'static str] = &["room.participant-admitted", "room.participant-joined"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::RoomFull,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("Everybody", json!({}))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        staff(room, context)?;
        let (waiting, places) = (open.people.waiting(), open.places());
        if places == 0 && !waiting.is_empty() {
            return Err(full(open));
        }
        let admitted = waiting.into_iter().take(places);
        Ok(Decision::Events(admitted.flat_map(|(identity, waiter)| admission(identity, waiter)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn admitted(who: &str) -> RoomEvent {
        ParticipantAdmitted { identity: id(who), session: session(who) }.into()
    }

    #[test]
    fn everybody_comes_in_in_the_order_in_which_they_asked() {
        let room = given().joined("bob", Role::Moderator).waiting("zoe", Role::Viewer).waiting("ann", Role::Speaker);
        room.when(person("bob"), "admit-all", json!({}))
            .then([admitted("zoe"), joined("zoe", Role::Viewer), admitted("ann"), joined("ann", Role::Speaker)])
            .when(person("bob"), "admit-all", json!({}))
            .then_nothing();
    }

    #[test]
    fn as_many_come_in_as_there_are_places_and_none_is_a_refusal() {
        let room = given_with(json!({ "max_participants": 2 })).joined("bob", Role::Moderator);
        let room = room.waiting("zoe", Role::Viewer).waiting("ann", Role::Speaker);
        room.when(person("bob"), "admit-all", json!({}))
            .then([admitted("zoe"), joined("zoe", Role::Viewer)])
            .when(person("bob"), "admit-all", json!({}))
            .refused(RefusalCode::RoomFull);
    }

    #[test]
    fn who_is_not_staff_admits_nobody() {
        let room = given().joined("bob", Role::Speaker);
        room.when(person("bob"), "admit-all", json!({})).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn a_room_that_is_not_open_is_refused() {
        let body = || json!({});
        nothing().when(server(), "admit-all", body()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "admit-all", body()).refused(RefusalCode::RoomNotOpen);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "admit-all", body()).refused(RefusalCode::RoomEnded);
    }
}
