//! `admit`: staff lets somebody in from the lobby.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::join::full;
use super::rights::staff;
use super::state::{Room, Waiter};
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Decision, DecisionContext, NewEvent};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{ParticipantAdmitted, ParticipantJoined};
use crate::ids::Identity;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admit {
    /// Who waits.
    pub identity: Identity,
}

impl CommandSpec for Admit {
    const NAME: &'static str = "admit";
    const SUMMARY: &'static str = "Admit a person from the lobby";
    const DESCRIPTION: &'static str = "For staff, and for servers with `room_admin`. The person joins with the session, role and \
        name of the request; also while the room is locked.";
    const EVENTS: &'static [&'static str] = &["room.participant-admitted", "room.participant-joined"];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::StaffOnly,
        RefusalCode::NotWaiting,
        RefusalCode::RoomFull,
    ];

    fn examples() -> Vec<Example> {
        vec![Example::new("One person", json!({ "identity": "user-17" }))]
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let open = room.open()?;
        staff(room, context)?;
        let waiter = open.people.waiter(&self.identity).ok_or_else(|| not_waiting(&self.identity))?;
        if open.places() == 0 {
            return Err(full(open));
        }
        Ok(Decision::Events(admission(&self.identity, waiter).into()))
    }
}

pub(super) fn not_waiting(identity: &Identity) -> Refusal {
    Refusal::new(RefusalCode::NotWaiting, format!("{} is not in the lobby", identity.quoted()))
}

/// Staff never waits: an admission makes nobody host.
pub(super) fn admission(identity: &Identity, waiter: &Waiter) -> [NewEvent; 2] {
    let (session, role) = (waiter.session, waiter.role);
    [
        ParticipantAdmitted { identity: identity.clone(), session }.into(),
        ParticipantJoined { identity: identity.clone(), session, role }.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;

    fn admitted(who: &str) -> RoomEvent {
        ParticipantAdmitted { identity: id(who), session: session(who) }.into()
    }

    #[test]
    fn who_waits_comes_in_with_session_role_and_name_of_the_request() {
        let sealed = crate::events::sealed::Sealed(bytes::Bytes::from_static(b"name"));
        let waiting = ParticipantWaiting { identity: id("ann"), session: session("ann"), role: Role::Viewer };
        let room = given().joined("bob", Role::Moderator).sealed_event(waiting, Some(&sealed)).event(RoomLocked {});
        let room = room
            .when(person("bob"), "admit", json!({ "identity": "ann" }))
            .then([admitted("ann"), joined("ann", Role::Viewer)]);
        let ann = &room.room.participants()[0];
        assert_eq!(ann.view.identity, id("ann"));
        assert_eq!(ann.name.as_ref().map(|part| (part.room_version, &part.sealed)), Some((3, &sealed)));
        assert!(room.room.waiting().is_empty());
        room.when(person("bob"), "admit", json!({ "identity": "ann" })).refused(RefusalCode::NotWaiting);
    }

    #[test]
    fn a_full_room_admits_nobody() {
        let room = given_with(json!({ "max_participants": 1 })).joined("bob", Role::Host).waiting("ann", Role::Viewer);
        room.when(person("bob"), "admit", json!({ "identity": "ann" })).refused(RefusalCode::RoomFull);
    }

    #[test]
    fn who_is_not_staff_admits_nobody() {
        let room = given().joined("bob", Role::Speaker).waiting("ann", Role::Viewer);
        room.when(person("bob"), "admit", json!({ "identity": "ann" })).refused(RefusalCode::StaffOnly);
        room.when(person("ann"), "admit", json!({ "identity": "ann" })).refused(RefusalCode::StaffOnly);
    }

    #[test]
    fn a_room_that_is_not_open_is_refused() {
        let body = || json!({ "identity": "ann" });
        nothing().when(server(), "admit", body()).refused(RefusalCode::RoomNotFound);
        scheduled().when(server(), "admit", body()).refused(RefusalCode::RoomNotOpen);
        let over = given().event(RoomEnded { reason: EndReason::Requested });
        over.when(server(), "admit", body()).refused(RefusalCode::RoomEnded);
    }
}
