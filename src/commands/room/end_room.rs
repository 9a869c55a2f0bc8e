//! `end-room`: a room is over, for good.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::{is_deadlines, staff};
use super::state::{DueTransition, OpenState, Room};
use super::succession::session_ends;
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext, NewEvent};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{DenyReason, EndReason, LeaveReason, ParticipantDenied, RoomEnded};
use crate::events::time::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndRoom {}

impl CommandSpec for EndRoom {
    const NAME: &'static str = "end-room";
    const SUMMARY: &'static str = "End a room for everybody";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`. Everybody present leaves, reason `room-ended`; \
        who waits in the lobby is denied; then the room is ended, for good, its name free again and its recording over. \
        A scheduled room is cancelled.\n\n\
        A room ends by itself, reason `empty` or `too-long`, by its settings `empty_timeout_s` and `max_duration_s`.";
    const EVENTS: &'static [&'static str] = &["room.participant-left", "room.participant-denied", "room.ended"];
    const REFUSALS: &'static [RefusalCode] =
        &[RefusalCode::NotGranted, RefusalCode::RoomNotFound, RefusalCode::RoomEnded, RefusalCode::StaffOnly];

    fn examples() -> Vec<Example> {
        vec![Example::new("For everybody", json!({}))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        room.unended()?;
        let reason = if is_deadlines(context) {
            match room.due(context.now) {
                Some(DueTransition::Empty) => EndReason::Empty,
                Some(DueTransition::TooLong) => EndReason::TooLong,
                Some(DueTransition::Open) | None => return Ok(Decision::nothing()),
            }
        } else {
            staff(room, context)?;
            if matches!(room, Room::Scheduled(_)) { EndReason::Cancelled } else { EndReason::Requested }
        };
        let mut events = match room {
            Room::Open(open) => everybody_goes(open, context.now),
            Room::Absent | Room::Scheduled(_) | Room::Ended(_) => Vec::new(),
        };
        events.push(RoomEnded { reason }.into());
        Ok(Decision::Events(events))
    }
}

fn everybody_goes(open: &OpenState, now: Timestamp) -> Vec<NewEvent> {
    let present = open.people.iter().flat_map(|(identity, person)| {
        person.sessions.iter().map(move |stay| session_ends(identity, stay, LeaveReason::RoomEnded, now))
    });
    let waiting = open.people.waiting().into_iter().map(|(identity, waiter)| {
        let (identity, session) = (identity.clone(), waiter.session);
        ParticipantDenied { identity, session, reason: DenyReason::RoomEnded }.into()
    });
    present.chain(waiting).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn ended(reason: EndReason) -> RoomEvent {
        RoomEnded { reason }.into()
    }

    fn denied(who: &str) -> RoomEvent {
        ParticipantDenied { identity: id(who), session: session(who), reason: DenyReason::RoomEnded }.into()
    }

    #[test]
    fn everybody_leaves_who_waits_is_denied_and_the_room_is_ended() {
        let room =
            given().joined("ann", Role::Host).waiting("zoe", Role::Viewer).waiting("cid", Role::Viewer).after(60);
        let room = room.joined("bob", Role::Viewer).after(5);
        let room = room.when(person("ann"), "end-room", json!({})).then([
            left_after("ann", LeaveReason::RoomEnded, 65),
            left_after("bob", LeaveReason::RoomEnded, 5),
            denied("zoe"),
            denied("cid"),
            ended(EndReason::Requested),
        ]);
        room.when(person("ann"), "end-room", json!({})).refused(RefusalCode::RoomEnded);
    }

    #[test]
    fn every_stay_of_a_person_ends() {
        let again = ParticipantJoined { identity: id("ann"), session: session("ann2"), role: Role::Host };
        let room = given().joined("ann", Role::Host).event(again);
        assert_eq!(room.when(server(), "end-room", json!({})).events().len(), 3);
    }

    #[test]
    fn a_scheduled_room_is_cancelled() {
        scheduled().when(server(), "end-room", json!({})).then([ended(EndReason::Cancelled)]);
    }

    #[test]
    fn time_ends_a_room_that_was_empty_too_long_and_not_before() {
        let room = given_with(json!({ "empty_timeout_s": 60 })).joined("ann", Role::Viewer).after(100);
        room.when(deadlines(), "end-room", json!({})).then_nothing();
        let room = room.event(left("ann", LeaveReason::Left));
        room.clone().after(59).when(deadlines(), "end-room", json!({})).then_nothing();
        room.after(60).when(deadlines(), "end-room", json!({})).then([ended(EndReason::Empty)]);
    }

    #[test]
    fn time_ends_a_room_that_was_open_too_long_with_everybody_in_it() {
        let room =
            given_with(json!({ "max_duration_s": 60, "empty_timeout_s": 600 })).joined("ann", Role::Viewer).after(60);
        room.when(deadlines(), "end-room", json!({}))
            .then([left_after("ann", LeaveReason::RoomEnded, 60), ended(EndReason::TooLong)]);
    }

    #[test]
    fn time_does_not_end_a_room_that_is_only_due_to_open() {
        scheduled().after(3600).when(deadlines(), "end-room", json!({})).then_nothing();
    }

    #[test]
    fn who_is_not_staff_ends_nothing() {
        let room = given().joined("bob", Role::Speaker);
        room.when(person("bob"), "end-room", json!({})).refused(RefusalCode::StaffOnly);
        nothing().when(server(), "end-room", json!({})).refused(RefusalCode::RoomNotFound);
    }
}
