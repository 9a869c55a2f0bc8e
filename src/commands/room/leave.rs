//! `leave`: somebody goes, or gives up waiting.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::rights::acts_for;
use super::state::{Person, Room};
use super::succession::{departure, stay_ends};
use crate::commands::command::{Command, Example};
use crate::commands::context::{Context, Decision};
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::ids::{Identity, SessionId};
use crate::events::room::{DenyReason, LeaveReason, ParticipantDenied};

#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Leave {
    /// Who leaves, where a server asks for somebody; absent: the caller.
    pub identity: Option<Identity>,
    /// The stay that ends; absent: all of the person's.
    pub session: Option<SessionId>,
}

impl Command for Leave {
    const NAME: &'static str = "leave";
    const SUMMARY: &'static str = "Leave a room";
    const DESCRIPTION: &'static str = "Needs the grant `room_join`, or `room_admin` to have somebody else leave. Ends all of the \
        person's stays, or the one that `session` names; or their waiting in the lobby. Their tracks end; with the last stay \
        the hand falls and the spotlight clears. When the last host leaves, the longest-present moderator becomes host.";
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

    fn decide(&self, room: &Room, context: &Context<'_>) -> Result<Decision, Refusal> {
        let identity = acts_for(self.identity.as_ref(), context)?;
        let open = room.open()?;
        if let Some(waiter) = open.people.waiter(identity)
            && self.session.is_none_or(|session| session == waiter.session)
        {
            let (identity, session) = (identity.clone(), waiter.session);
            let withdrawn = ParticipantDenied { identity, session, reason: DenyReason::Withdrawn };
            return Ok(Decision::Facts(vec![withdrawn.into()]));
        }
        let person = open.present(identity)?;
        if let Some(session) = self.session {
            let stay = person.sessions.iter().find(|stay| stay.session == session);
            let stay = stay.ok_or_else(|| no_such_stay(identity, session))?;
            if !is_last(person) {
                return Ok(Decision::Facts(vec![stay_ends(identity, stay, LeaveReason::Left, context.now)]));
            }
        }
        Ok(Decision::Facts(departure(open, identity, LeaveReason::Left, context.now)))
    }
}

fn is_last(person: &Person) -> bool {
    person.sessions.len() == 1
}

fn no_such_stay(identity: &Identity, session: SessionId) -> Refusal {
    Refusal::new(RefusalCode::NotPresent, format!("{identity} is in the room, but not with the session {session}"))
}
