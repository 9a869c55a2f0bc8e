//! `join`: somebody comes in, or asks to at the lobby.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rights::acts_for;
use super::state::{DueTransition, OpenState, PresentPerson, Room};
use super::succession::{first_of_staff, session_ends};
use crate::commands::command::{CommandSpec, Example};
use crate::commands::context::{Caller, Decision, DecisionContext, NewEvent};
use crate::commands::fault::FieldFaults;
use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{
    DenyReason, DuplicateIdentity, LeaveReason, Lobby, OpenReason, ParticipantDenied, ParticipantJoined,
    ParticipantWaiting, Role, RoomEvent, RoomOpened,
};
use crate::events::sealed::{NewPersonal, PersonalFields};
use crate::ids::{Identity, SessionId};
use crate::json::FreeJson;

/// Characters of a display name.
pub(super) const MAX_DISPLAY_NAME_CHARS: usize = 256;
/// Of a person's metadata, as JSON text.
pub(super) const MAX_PERSON_METADATA_BYTES: usize = 16 * 1024;
/// Sessions of one person at once, where `duplicate_identity` is `allow`.
const MAX_SESSIONS: usize = 16;
/// People in a room's lobby at once.
const MAX_WAITING: usize = 10_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Join {
    /// Who joins, where a server asks for somebody; absent: the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Absent: for oneself the role that the token grants, for somebody else `speaker`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The name to show, 1 to 256 characters. Personal: sealed in the log.
    #[schemars(length(min = 1, max = 256))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The caller's own data on the person: any JSON, at most 16 KiB as text. Personal: sealed in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<FreeJson>,
}

impl CommandSpec for Join {
    const NAME: &'static str = "join";
    const SUMMARY: &'static str = "Join a room";
    const DESCRIPTION: &'static str = "Needs the grant `room_join`, or `room_admin` for another person. The id of the session is the \
        id of the command.\n\n\
        If the lobby applies, the person waits until staff admits them; a second request replaces the first one. Somebody \
        present who joins again keeps role and place: with `duplicate_identity` `replace` the older session ends, with \
        `allow` both continue, with `refuse` the join is refused. A `display_name` or `metadata` in such a join replaces \
        both; a join without either keeps them.\n\n\
        A join opens a scheduled room whose opening time has passed. Only staff, and people for whom a server joins, can \
        join a locked room. A moderator who joins a room without a host becomes host.";
    const EVENTS: &'static [&'static str] = &[
        "room.opened",
        "room.participant-denied",
        "room.participant-waiting",
        "room.participant-joined",
        "room.participant-left",
        "room.host-transferred",
    ];
    const REFUSALS: &'static [RefusalCode] = &[
        RefusalCode::NotGranted,
        RefusalCode::IdentityRequired,
        RefusalCode::RoleNotGranted,
        RefusalCode::RoomNotFound,
        RefusalCode::RoomNotOpen,
        RefusalCode::RoomEnded,
        RefusalCode::Banned,
        RefusalCode::RoomLocked,
        RefusalCode::RoomFull,
        RefusalCode::AlreadyPresent,
        RefusalCode::TooManySessions,
    ];

    fn examples() -> Vec<Example> {
        vec![
            Example::new("As oneself", json!({ "display_name": "Ann" })),
            Example::new(
                "A server brings in a viewer",
                json!({ "identity": "user-17", "role": "viewer", "metadata": { "seat": "12A" } }),
            ),
        ]
    }

    fn validate(&self, faults: &mut FieldFaults) {
        if let Some(name) = &self.display_name {
            faults.line("display_name", name, MAX_DISPLAY_NAME_CHARS);
        }
        if let Some(metadata) = &self.metadata {
            faults.metadata("metadata", metadata, MAX_PERSON_METADATA_BYTES);
        }
    }

    fn subject<'a>(&'a self, caller: &'a Caller) -> Option<&'a Identity> {
        self.identity.as_ref().or(caller.identity())
    }

    fn decide(&self, room: &Room, context: &DecisionContext<'_>) -> Result<Decision, Refusal> {
        let identity = acts_for(self.identity.as_ref(), context)?;
        if room.due(context.now) == Some(DueTransition::Open) {
            let opened = RoomEvent::from(RoomOpened { reason: OpenReason::Due });
            // The version matters to nothing that this event sets.
            let room = room.clone().evolve(0, context.now, &opened, None);
            let mut events = vec![NewEvent::from(opened)];
            events.extend(self.enter(room.open()?, identity, context)?);
            return Ok(Decision::Events(events));
        }
        self.enter(room.open()?, identity, context).map(Decision::Events)
    }
}

pub(super) fn full(open: &OpenState) -> Refusal {
    Refusal::new(RefusalCode::RoomFull, format!("{} people are in the room, which is its limit", open.people.count()))
}

impl Join {
    fn enter(
        &self,
        open: &OpenState,
        identity: &Identity,
        context: &DecisionContext<'_>,
    ) -> Result<Vec<NewEvent>, Refusal> {
        if open.config.is_banned(identity, context.now) {
            return Err(Refusal::new(RefusalCode::Banned, format!("{} is banned from the room", identity.quoted())));
        }
        let role = self.role(identity, context)?;
        match open.people.get(identity) {
            Some(person) => self.again(open, identity, person, context),
            None => self.anew(open, identity, role, context),
        }
    }

    fn role(&self, identity: &Identity, context: &DecisionContext<'_>) -> Result<Role, Refusal> {
        let caller = context.caller;
        let own = caller.identity() == Some(identity);
        let role = self.role.unwrap_or(if own { caller.grants.role } else { Role::Speaker });
        if role > caller.grants.role && !caller.grants.room_admin {
            let (wanted, granted) = (role.as_str(), caller.grants.role.as_str());
            let detail = format!("the role {wanted} is higher than the role {granted} that the token grants");
            return Err(Refusal::new(RefusalCode::RoleNotGranted, detail));
        }
        Ok(role)
    }

    /// Somebody present joins once more: never through lock or lobby, and counted already.
    fn again(
        &self,
        open: &OpenState,
        identity: &Identity,
        person: &PresentPerson,
        context: &DecisionContext<'_>,
    ) -> Result<Vec<NewEvent>, Refusal> {
        let joined = self.joined(identity, person.role, context);
        match open.config.settings.duplicate_identity {
            DuplicateIdentity::Refuse => {
                Err(Refusal::new(RefusalCode::AlreadyPresent, format!("{} is in the room already", identity.quoted())))
            }
            DuplicateIdentity::Allow if person.sessions.len() >= MAX_SESSIONS => Err(Refusal::new(
                RefusalCode::TooManySessions,
                format!("{} is in the room with {MAX_SESSIONS} sessions", identity.quoted()),
            )),
            DuplicateIdentity::Allow => Ok(vec![joined]),
            // The new stay first: the person is never absent in between.
            DuplicateIdentity::Replace => {
                let older = person.sessions.iter();
                let left = older.map(|stay| session_ends(identity, stay, LeaveReason::Replaced, context.now));
                Ok(std::iter::once(joined).chain(left).collect())
            }
        }
    }

    fn anew(
        &self,
        open: &OpenState,
        identity: &Identity,
        role: Role,
        context: &DecisionContext<'_>,
    ) -> Result<Vec<NewEvent>, Refusal> {
        let settings = &open.config.settings;
        if open.config.locked && !role.is_staff() && !context.caller.grants.room_admin {
            return Err(Refusal::new(RefusalCode::RoomLocked, "the room is locked"));
        }
        if open.places() == 0 {
            return Err(full(open));
        }
        let waits = match settings.lobby {
            Lobby::Off => false,
            Lobby::Guests => role == Role::Viewer,
            Lobby::Everyone => !role.is_staff(),
        };
        let older = open.people.waiter(identity);
        let mut events: Vec<NewEvent> = Vec::new();
        if let Some(older) = older {
            let (identity, session) = (identity.clone(), older.session);
            events.push(ParticipantDenied { identity, session, reason: DenyReason::Replaced }.into());
        }
        if waits {
            if older.is_none() && open.people.waiting_count() >= MAX_WAITING {
                return Err(Refusal::new(RefusalCode::RoomFull, format!("{MAX_WAITING} people are in the lobby")));
            }
            events.push(self.waiting(identity, role, context));
        } else {
            events.push(self.joined(identity, role, context));
            events.extend(first_of_staff(open, identity, role));
        }
        Ok(events)
    }

    fn joined(&self, identity: &Identity, role: Role, context: &DecisionContext<'_>) -> NewEvent {
        let session = SessionId::from_uuid(context.command_id.uuid());
        let event = ParticipantJoined { identity: identity.clone(), session, role }.into();
        NewEvent { event, personal: self.personal(identity) }
    }

    fn waiting(&self, identity: &Identity, role: Role, context: &DecisionContext<'_>) -> NewEvent {
        let session = SessionId::from_uuid(context.command_id.uuid());
        let event = ParticipantWaiting { identity: identity.clone(), session, role }.into();
        NewEvent { event, personal: self.personal(identity) }
    }

    fn personal(&self, subject: &Identity) -> Option<NewPersonal> {
        let (display_name, metadata) = (self.display_name.clone(), self.metadata.clone());
        let fields = PersonalFields { display_name, metadata, text: None };
        (!fields.is_empty()).then(|| NewPersonal { subject: subject.clone(), fields })
    }
}

#[cfg(test)]
mod tests;
