//! `end-room`: a room is over, for good.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::rights::{is_deadlines, staff};
use super::state::{Due, Open, Room};
use super::succession::stay_ends;
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision, Fact};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{DenyReason, EndReason, LeaveReason, ParticipantDenied, RoomEnded};
use crate::events::time::Timestamp;

#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndRoom {}

impl Command for EndRoom {
    const NAME: &'static str = "end-room";
    const SUMMARY: &'static str = "End a room for everybody";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`. Everybody present leaves, reason `room-ended`; \
        who waits in the lobby is denied; then the room is ended, for good, its name free again and its recording over. \
        A scheduled room is cancelled.\n\n\
        A room ends by itself, reason `empty` or `too-long`, by its settings `empty_timeout_s` and `max_duration_s`.";
    const REFUSALS: &'static [RefusalCode] =
        &[RefusalCode::NotGranted, RefusalCode::RoomNotFound, RefusalCode::RoomEnded, RefusalCode::StaffOnly];

    fn examples() -> Vec<Example> {
        vec![Example::new("For everybody", json!({}))]
    }

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        room.unended()?;
        let reason = if is_deadlines(context) {
            match room.due(context.now) {
                Some(Due::Empty) => EndReason::Empty,
                Some(Due::TooLong) => EndReason::TooLong,
                Some(Due::Open) | None => return Ok(Decision::nothing()),
            }
        } else {
            staff(room, context)?;
            if matches!(room, Room::Scheduled(_)) { EndReason::Cancelled } else { EndReason::Requested }
        };
        let mut facts = match room {
            Room::Open(open) => everybody_goes(open, context.now),
            Room::Absent | Room::Scheduled(_) | Room::Ended(_) => Vec::new(),
        };
        facts.push(RoomEnded { reason }.into());
        Ok(Decision::Facts(facts))
    }
}

fn everybody_goes(open: &Open, now: Timestamp) -> Vec<Fact> {
    let present = open.people.iter().flat_map(|(identity, person)| {
        person.sessions.iter().map(move |stay| stay_ends(identity, stay, LeaveReason::RoomEnded, now))
    });
    let waiting = open.people.waiting().into_iter().map(|(identity, waiter)| {
        let (identity, session) = (identity.clone(), waiter.session);
        ParticipantDenied { identity, session, reason: DenyReason::RoomEnded }.into()
    });
    present.chain(waiting).collect()
}
