//! `leave`: somebody goes, or gives up waiting.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::acts_for;
use super::state::{PresentPerson, Room};
use super::succession::{departure, session_ends};
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{DenyReason, LeaveReason, ParticipantDenied};
use crate::ids::{Identity, SessionId};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Leave {
    /// Who leaves, where a server asks for somebody; absent: the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The stay that ends; absent: all of the person's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
}

impl CommandSpec for Leave {
    const NAME: &'static str = "leave";
    const SUMMARY: &'static str = "Leave a room";
    const DESCRIPTION: &'static str = "Needs the grant `room_join`, or `room_admin` for another person. Ends all of the person's \
        sessions, or the one in `session`, or their wait in the lobby. Their tracks end; with the last session the hand is \
        lowered and the spotlight clears. When the last host leaves, the longest-present moderator becomes host.";
    const EVENTS: &'static [&'static str] =
        &["room.participant-left", "room.participant-denied", "room.host-transferred", "room.track-unpublished"];
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
            Example::new("As oneself", json!({})),
            Example::new("A server has somebody leave", json!({ "identity": "user-17" })),
            Example::new("One of several devices", json!({ "session": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11" })),
        ]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let identity = acts_for(self.identity.as_ref(), context)?;
        let open = room.open()?;
        if let Some(waiter) = open.people.waiter(identity)
            && self.session.is_none_or(|session| session == waiter.session)
        {
            let (identity, session) = (identity.clone(), waiter.session);
            let withdrawn = ParticipantDenied { identity, session, reason: DenyReason::Withdrawn };
            return Ok(Decision::Events(vec![withdrawn.into()]));
        }
        let person = open.present(identity)?;
        if let Some(session) = self.session {
            let stay = person.sessions.iter().find(|stay| stay.session == session);
            let stay = stay.ok_or_else(|| no_such_stay(identity, session))?;
            if !is_last(person) {
                return Ok(Decision::Events(vec![session_ends(identity, stay, LeaveReason::Left, context.now)]));
            }
        }
        Ok(Decision::Events(departure(open, identity, LeaveReason::Left, context.now)))
    }
}

fn is_last(person: &PresentPerson) -> bool {
    person.sessions.len() == 1
}

fn no_such_stay(identity: &Identity, session: SessionId) -> Refusal {
    Refusal::new(
        RefusalCode::NotPresent,
        format!("{} is in the room, but not with the session {session}", identity.quoted()),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    #[test]
    fn a_person_leaves_after_some_seconds() {
        let room = given().joined("ann", Role::Speaker).after(90);
        let room = room.when(person("ann"), "leave", json!({})).then([left_after("ann", LeaveReason::Left, 90)]);
        room.when(person("ann"), "leave", json!({})).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn a_server_has_somebody_leave_and_nobody_else_may() {
        let room = given().joined("ann", Role::Host).joined("bob", Role::Viewer);
        room.when(server(), "leave", json!({ "identity": "bob" })).then([left("bob", LeaveReason::Left)]);
        room.when(person("ann"), "leave", json!({ "identity": "bob" })).refused(RefusalCode::NotGranted);
        room.when(server(), "leave", json!({})).refused(RefusalCode::IdentityRequired);
    }

    #[test]
    fn who_waits_withdraws() {
        let room = given().waiting("ann", Role::Viewer);
        let withdrawn =
            ParticipantDenied { identity: id("ann"), session: session("ann"), reason: DenyReason::Withdrawn };
        let room = room.when(person("ann"), "leave", json!({})).then([withdrawn.into()]);
        assert!(room.room.waiting().is_empty());
    }

    #[test]
    fn one_of_several_stays_ends_or_all_of_them() {
        let again = ParticipantJoined { identity: id("ann"), session: session("ann2"), role: Role::Host };
        let room = given().joined("ann", Role::Host).joined("bob", Role::Moderator).event(again).after(3);
        let one = room.when(person("ann"), "leave", json!({ "session": session("ann") }));
        let room_of_one = one.then([left_after("ann", LeaveReason::Left, 3)]);
        assert_eq!(room_of_one.room.session_of(&id("ann")), Some(session("ann2")));
        assert_eq!(room.when(person("ann"), "leave", json!({})).events().len(), 3);
        let other = json!({ "session": session("somebody") });
        room.when(person("ann"), "leave", other).refused(RefusalCode::NotPresent);
    }

    #[test]
    fn the_longest_present_moderator_takes_over_from_the_last_host() {
        let room = given().joined("zoe", Role::Host).joined("mia", Role::Moderator).joined("ben", Role::Moderator);
        let room = room
            .when(person("zoe"), "leave", json!({}))
            .then([left("zoe", LeaveReason::Left), host_transferred(Some("zoe"), "mia")]);
        assert_eq!(room.room.participants()[1].view.role, Role::Host);
    }

    #[test]
    fn nobody_takes_over_while_there_is_another_host_or_without_moderators() {
        let room = given().joined("zoe", Role::Host).joined("ann", Role::Speaker).joined("mia", Role::Host);
        room.when(person("zoe"), "leave", json!({}))
            .then([left("zoe", LeaveReason::Left)])
            .when(person("mia"), "leave", json!({}))
            .then([left("mia", LeaveReason::Left)]);
    }

    #[test]
    fn a_room_that_is_not_open_is_refused() {
        nothing().when(person("ann"), "leave", json!({})).refused(RefusalCode::RoomNotFound);
        scheduled().when(person("ann"), "leave", json!({})).refused(RefusalCode::RoomNotOpen);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(person("ann"), "leave", json!({})).refused(RefusalCode::RoomEnded);
    }
}
