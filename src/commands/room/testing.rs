//! Given these events, when this command, then these events or this refusal: how rules are tested, without a database.
//!
//! ```ignore
//! let room = given().joined("ann", Role::Host).joined("bob", Role::Viewer);
//! room.when(person("ann"), "remove", json!({ "identity": "bob" })).then([left("bob", LeaveReason::Removed)]);
//! room.when(person("bob"), "remove", json!({ "identity": "ann" })).refused(RefusalCode::StaffOnly);
//! ```

pub use serde_json::json;

use serde_json::Value;
use uuid::Uuid;

use super::RoomCommand;
use super::state::{OpenState, Room};
use crate::commands::command::CommandKind;
use crate::commands::context::{Caller, Decision, DecisionContext, ExternalData, NewEvent, SentMessage};
use crate::commands::fault::{CommandFault, FieldFault};
use crate::commands::refusal::Refusal;
pub use crate::commands::refusal::RefusalCode;
pub use crate::events::room::*;
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{Actor, CommandId, Identity, RecordingId, RoomId, RoomVersion, SessionId, TenantId, TrackId};
pub use crate::security::grants::Grants;

/// A room and the time; each step returns it, so that steps chain.
#[derive(Clone, Debug)]
pub struct Given {
    pub room: Room,
    pub version: RoomVersion,
    pub now: Timestamp,
    pub external: ExternalData,
    pub history: bool,
    commands: u128,
}

/// Nothing has happened.
pub fn nothing() -> Given {
    let now = "2030-01-01T00:00:00Z".parse().unwrap();
    Given { room: Room::Absent, version: 0, now, external: ExternalData::default(), history: false, commands: 0 }
}

/// An open room with the default settings.
pub fn given() -> Given {
    given_with(json!({}))
}

/// An open room with these settings.
pub fn given_with(settings: Value) -> Given {
    let patch: SettingsPatch = serde_json::from_value(settings).unwrap();
    let mut settings = Settings::default();
    settings.apply(&patch);
    nothing().event(RoomCreated { name: Some("standup".into()), opens_at: None, settings })
}

/// A room that opens in an hour.
pub fn scheduled() -> Given {
    let start = nothing();
    let opens_at = Some(start.now.plus_seconds(3600));
    start.event(RoomCreated { name: None, opens_at, settings: Settings::default() })
}

/// A room that is over.
pub fn ended() -> Given {
    given().event(RoomEnded { reason: EndReason::Requested })
}

impl Given {
    /// The state of the room, which is open.
    #[track_caller]
    pub fn open(&self) -> &OpenState {
        self.room.open().unwrap()
    }

    /// Raised hands, the earliest first.
    #[track_caller]
    pub fn hands(&self) -> Vec<&str> {
        self.open().hands.in_order().map(Identity::as_str).collect()
    }

    /// This happened.
    pub fn event(self, event: impl Into<RoomEvent>) -> Self {
        self.sealed_event(event, None)
    }

    pub fn sealed_event(mut self, event: impl Into<RoomEvent>, sealed: Option<&Sealed>) -> Self {
        self.version += 1;
        self.room = self.room.evolve(self.version, self.now, &event.into(), sealed);
        self
    }

    /// Seconds passed.
    pub fn after(mut self, seconds: i64) -> Self {
        self.now = self.now.plus_seconds(seconds);
        self
    }

    /// Somebody joined, with the session `session(who)`.
    pub fn joined(self, who: &str, role: Role) -> Self {
        self.event(joined(who, role))
    }

    /// Somebody waits in the lobby, with the session `session(who)`.
    pub fn waiting(self, who: &str, role: Role) -> Self {
        self.event(ParticipantWaiting { identity: id(who), session: session(who), role })
    }

    /// Somebody present published the track `track(name)`.
    pub fn track(self, name: &str, who: &str, source: TrackSource) -> Self {
        self.event(TrackPublished {
            track: track(name),
            identity: id(who),
            session: session(who),
            kind: source.kind(),
            source,
            codec: None,
            width: None,
            height: None,
            muted: false,
        })
    }

    /// The message that the command will find when it looks one up.
    pub fn message(mut self, author: &str, to: Audience) -> Self {
        self.external.message = Some(SentMessage { author: id(author), to });
        self
    }

    /// What is commanded is history that is moved in.
    pub fn history(mut self) -> Self {
        self.history = true;
        self
    }

    /// Who holds the name that the command will look up.
    pub fn name_held_by(mut self, holder: RoomId) -> Self {
        self.external.name_holder = Some(holder);
        self
    }

    /// The person that the command speaks of has a key.
    pub fn with_key(mut self) -> Self {
        self.external.person_key = Some(numbered("key"));
        self
    }

    /// The command is decided. It must be one that parses; the room stays as it was.
    pub fn when(&self, caller: Caller, name: &str, body: Value) -> TestOutcome {
        let command = RoomCommand::parse(name, body.to_string().as_bytes()).unwrap();
        self.decided(&caller, room_id(), &command)
    }

    /// The same, of a command to the tenant itself.
    pub fn of_tenant(&self, caller: Caller, name: &str, body: Value) -> TestOutcome {
        let command = RoomCommand::parse_of_tenant(name, body.to_string().as_bytes()).unwrap();
        self.decided(&caller, RoomId::TENANT, &command)
    }

    fn decided(&self, caller: &Caller, room: RoomId, command: &RoomCommand) -> TestOutcome {
        let command_id =
            CommandId::from_uuid(Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 + self.commands));
        let context = DecisionContext {
            caller,
            room,
            now: self.now,
            history: self.history,
            command_id,
            external: &self.external,
        };
        let result = command.decide(&self.room, &context);
        let mut kinds = RoomCommand::catalogue().into_iter().chain(RoomCommand::catalogue_of_tenant());
        let kind = kinds.find(|kind| kind.name == command.name()).unwrap();
        is_listed(&kind, &result);
        TestOutcome { given: self.clone(), result, command_id }
    }
}

/// What a command leads to is what it is documented to lead to.
#[track_caller]
pub fn is_listed(kind: &CommandKind, result: &Result<Decision, Refusal>) {
    match result {
        Err(refusal) => {
            assert!(kind.refusals.contains(&refusal.code), "{} does not list its refusal {}", kind.name, refusal.code);
        }
        Ok(Decision::Events(new_events)) => {
            for name in new_events.iter().map(|new_event| new_event.event.name()) {
                assert!(kind.events.contains(&name), "{} does not list its event {name}", kind.name);
            }
        }
        Ok(Decision::Existing(_)) => {}
    }
}

/// What a command led to.
#[derive(Debug)]
pub struct TestOutcome {
    given: Given,
    pub result: Result<Decision, Refusal>,
    /// What the command created (a session, a track, a recording) has this id.
    pub command_id: CommandId,
}

impl TestOutcome {
    /// These events, and no others. Returns the room after them.
    #[track_caller]
    pub fn then<const N: usize>(self, expected: [RoomEvent; N]) -> Given {
        let new_events = self.events();
        let events: Vec<RoomEvent> = new_events.into_iter().map(|new_event| new_event.event).collect();
        assert_eq!(events, expected.to_vec());
        self.and()
    }

    /// The command has no effect.
    #[track_caller]
    pub fn then_nothing(self) -> Given {
        self.then([])
    }

    #[track_caller]
    pub fn refused(self, code: RefusalCode) -> Refusal {
        match self.result {
            Err(refusal) if refusal.code == code => refusal,
            other => panic!("expected the refusal {code}, got {other:?}"),
        }
    }

    /// The events, personal fields included.
    #[track_caller]
    pub fn events(&self) -> Vec<NewEvent> {
        match &self.result {
            Ok(Decision::Events(new_events)) => new_events.clone(),
            other => panic!("expected facts, got {other:?}"),
        }
    }

    /// The session of somebody who joined by this command.
    pub fn session(&self) -> SessionId {
        SessionId::from_uuid(self.command_id.uuid())
    }

    /// The track that was published by this command.
    pub fn track(&self) -> TrackId {
        TrackId::from_uuid(self.command_id.uuid())
    }

    /// The recording that was started by this command.
    pub fn recording(&self) -> RecordingId {
        RecordingId::from_uuid(self.command_id.uuid())
    }

    /// The room after the events, whatever they are.
    #[track_caller]
    pub fn and(self) -> Given {
        let new_events = self.events();
        let mut given = new_events.into_iter().fold(self.given, |given, new_event| {
            // Not the sealing of the product: only that something is there.
            let sealed = new_event.personal.map(|_| Sealed(bytes::Bytes::from_static(b"sealed")));
            given.sealed_event(new_event.event, sealed.as_ref())
        });
        given.commands += 1;
        given
    }
}

/// The faults of a body that does not parse.
#[track_caller]
pub fn faults(name: &str, body: &str) -> Vec<FieldFault> {
    match RoomCommand::parse(name, body.as_bytes()) {
        Err(CommandFault::Fields(faults)) => faults,
        other => panic!("expected field faults, got {other:?}"),
    }
}

/// Made at the time at which nothing had happened.
pub fn room_id() -> RoomId {
    "01b8dac5-b400-7000-8000-0000000000aa".parse().unwrap()
}

pub fn id(who: &str) -> Identity {
    Identity::new(who).unwrap()
}

/// One session for each name.
pub fn session(who: &str) -> SessionId {
    SessionId::from_uuid(numbered(who))
}

/// One track for each name; the ids of `s1`, `s2`, `s3` are in order.
pub fn track(name: &str) -> TrackId {
    TrackId::from_uuid(numbered(name))
}

/// One recording for each name.
pub fn recording(name: &str) -> RecordingId {
    RecordingId::from_uuid(numbered(name))
}

/// A UUIDv7 for each name.
pub fn numbered(who: &str) -> Uuid {
    let number = who.bytes().fold(0u128, |sum, byte| (sum * 257 + u128::from(byte)) % (1 << 60));
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub fn joined(who: &str, role: Role) -> RoomEvent {
    ParticipantJoined { identity: id(who), session: session(who), role }.into()
}

/// Left at once: after zero seconds.
pub fn left(who: &str, reason: LeaveReason) -> RoomEvent {
    left_after(who, reason, 0)
}

pub fn left_after(who: &str, reason: LeaveReason, seconds: u64) -> RoomEvent {
    ParticipantLeft { identity: id(who), session: session(who), reason, seconds }.into()
}

pub fn host_transferred(from: Option<&str>, to: &str) -> RoomEvent {
    HostTransferred { from: from.map(id), to: id(to) }.into()
}

/// A person who may join as host at most.
pub fn person(who: &str) -> Caller {
    granted(who, Grants { room_join: true, role: Role::Host, ..Grants::default() })
}

/// A person who may join as `role` at most.
pub fn person_of(who: &str, role: Role) -> Caller {
    granted(who, Grants { room_join: true, role, ..Grants::default() })
}

pub fn granted(who: &str, grants: Grants) -> Caller {
    caller(Actor::Person(id(who)), grants)
}

/// A server: an API key that may do everything.
pub fn server() -> Caller {
    caller(Actor::Key("prod-1".into()), Grants::everything())
}

/// An API key with these grants.
pub fn granted_key(grants: Grants) -> Caller {
    caller(Actor::Key("prod-1".into()), grants)
}

/// A recorder: an API key that may record and nothing else.
pub fn recorder() -> Caller {
    granted_key(Grants { room_record: true, ..Grants::default() })
}

/// The part of the system that carries out what time does.
pub fn deadlines() -> Caller {
    caller(Actor::System(super::state::DEADLINES.into()), Grants::everything())
}

fn caller(actor: Actor, grants: Grants) -> Caller {
    Caller { tenant: TenantId::new("acme").unwrap(), actor, grants }
}
