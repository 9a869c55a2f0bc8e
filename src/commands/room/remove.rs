//! `remove`: staff sends somebody out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ban::{MAX_BAN_S, banned};
use super::rights::staff;
use super::state::Room;
use super::succession::departure;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::LeaveReason;
use crate::ids::Identity;
use crate::json::whole_number::whole_or_null;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Who has to go.
    pub identity: Identity,
    /// Keeps the person out this long, in seconds, at most ten years; absent: they may come back at once.
    #[schemars(range(min = 1, max = 315_360_000))]
    #[serde(default, deserialize_with = "whole_or_null", skip_serializing_if = "Option::is_none")]
    pub ban_s: Option<u32>,
}

impl CommandSpec for Remove {
    const NAME: &'static str = "remove";
    const SUMMARY: &'static str = "Remove a person from the room";
    const DESCRIPTION: &'static str = "For staff over people of a lower role, and for servers with `room_admin`. All of the person's \
        sessions end, reason `removed`. For somebody in the lobby use `deny`.";
    const EVENTS: &'static [&'static str] =
        &["room.participant-left", "room.host-transferred", "room.track-unpublished", "room.identity-banned"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::RankTooLow,
        RefusalCode::NotPresent,
        RefusalCode::TooManyBans,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("Out, for now", json!({ "identity": "user-17" })),
            Example::new("Out for an hour", json!({ "identity": "user-17", "ban_s": 3600 })),
        ]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        if let Some(seconds) = self.ban_s {
            faults.range("ban_s", seconds.into(), 1, MAX_BAN_S.into());
        }
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        let rank = staff(room, context)?;
        let person = open.present(&self.identity)?;
        rank.over(person.role, &self.identity)?;
        let mut events = departure(open, &self.identity, LeaveReason::Removed, context.now);
        if self.ban_s.is_some() {
            events.push(banned(&open.config, &self.identity, self.ban_s, context.now)?);
        }
        Ok(Decision::Events(events))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn staff_removes_people_of_a_lower_role() {
        let room = given().joined("ann", Role::Moderator).joined("bob", Role::Speaker).after(9);
        let room = room.when(person("ann"), "remove", json!({ "identity": "bob" })).then([left_after(
            "bob",
            LeaveReason::Removed,
            9,
        )]);
        room.when(person("ann"), "remove", json!({ "identity": "bob" })).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn equals_and_those_above_are_not_removed_but_by_a_server() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Moderator).joined("cid", Role::Moderator);
        let out = |who: &str| json!({ "identity": who });
        room.when(person("bob"), "remove", out("cid")).refused(RefusalCode::RankTooLow);
        room.when(person("bob"), "remove", out("bob")).refused(RefusalCode::RankTooLow);
        room.when(person("bob"), "remove", out("ann")).refused(RefusalCode::RankTooLow);
        room.when(server(), "remove", out("ann"))
            .then([left("ann", LeaveReason::Removed), host_transferred(Some("ann"), "bob")]);
    }

    #[test]
    fn with_a_ban_the_person_cannot_come_back_before_it_ends() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Speaker);
        let until = Some(room.now.plus_seconds(60));
        let room = room
            .when(person("ann"), "remove", json!({ "identity": "bob", "ban_s": 60 }))
            .then([left("bob", LeaveReason::Removed), IdentityBanned { identity: id("bob"), until }.into()]);
        room.when(person("bob"), "join", json!({})).refused(RefusalCode::Banned);
        room.after(60).when(person("bob"), "join", json!({})).and();
    }

    #[test]
    fn every_stay_ends_and_with_the_last_the_hand_falls_and_the_spotlight_clears() {
        let again = ParticipantJoined { identity: id("bob"), session: session("bob2"), role: Role::Speaker };
        let room = given().joined("ann", Role::Host).joined("bob", Role::Speaker).event(again);
        let room = room.event(HandRaised { identity: id("bob") }).event(SpotlightSet { identity: id("bob") });
        let room = room.when(person("ann"), "remove", json!({ "identity": "bob" })).and();
        let view = room.room.view(room_id(), room.version).unwrap();
        assert_eq!((view.participant_count, view.hands.len(), view.spotlight), (1, 0, None));
    }

    #[test]
    fn who_waits_is_not_present_yet() {
        let room = given().joined("ann", Role::Host).waiting("bob", Role::Viewer);
        room.when(person("ann"), "remove", json!({ "identity": "bob" })).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn who_is_not_staff_removes_nobody() {
        let room = given().joined("ann", Role::Speaker).joined("bob", Role::Viewer);
        room.when(person("ann"), "remove", json!({ "identity": "bob" })).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn too_many_bans_are_refused() {
        let room = super::super::ban::tests::full_of_bans().joined("bob", Role::Viewer);
        room.when(server(), "remove", json!({ "identity": "bob", "ban_s": 60 })).refused(RefusalCode::TooManyBans);
        room.when(server(), "remove", json!({ "identity": "bob" })).and();
    }

    #[test]
    fn a_ban_lasts_one_second_to_ten_years() {
        assert_eq!(faults("remove", r#"{"identity":"bob","ban_s":0}"#)[0].field, "ban_s");
        assert_eq!(faults("remove", r#"{"identity":"bob","ban_s":315360001}"#)[0].field, "ban_s");
        assert_eq!(faults("remove", r#"{"ban_s":1}"#)[0].field, "identity");
    }

    #[test]
    fn a_room_that_is_not_open_is_refused() {
        let body = || json!({ "identity": "ann" });
        nothing().when(server(), "remove", body()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "remove", body()).refused(RefusalCode::RoomNotOpen);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "remove", body()).refused(RefusalCode::RoomEnded);
    }
}
