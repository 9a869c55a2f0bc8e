//! A random sequence of commands to one room.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::bodies::{Bodies, PEOPLE, Things};
use super::dice::Dice;
use super::invariants;
use super::ledger::Ledger;
use crate::commands::command::CommandKind;
use crate::commands::context::{Caller, Decision, DecisionContext, ExternalData, Lookup, NewEvent, SentMessage};
use crate::commands::room::RoomCommand;
use crate::commands::room::state::Room;
use crate::commands::room::testing::*;
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{CommandId, RoomVersion};

/// What a step does follows from these numbers and the room.
#[derive(Clone, Debug)]
pub struct WalkStep {
    pub command: u16,
    pub caller: u16,
    pub dice: u64,
    pub wait: u8,
}

/// An event as the log would have it.
#[derive(Clone, Debug)]
pub struct LoggedEvent {
    pub at: Timestamp,
    pub event: RoomEvent,
    pub sealed: Option<Sealed>,
}

pub struct RandomWalk {
    room: Room,
    now: Timestamp,
    commands: u64,
    ledger: Ledger,
    messages: BTreeMap<RoomVersion, SentMessage>,
    pub events: Vec<LoggedEvent>,
    /// Commands that led to an event.
    pub done: Vec<&'static str>,
}

/// A command, and the schema of its body. Commands that fill a room stand several times.
static COMMANDS: LazyLock<Vec<(CommandKind, Value)>> = LazyLock::new(|| {
    let often = |name: &str| match name {
        "join" => 14,
        "publish-track" => 5,
        "send-message" | "raise-hand" => 3,
        "mute-all" | "mute-participant" | "mute-track" | "unmute-track" | "allow-unmute" | "admit" | "deny"
        | "change-role" => 2,
        _ => 1,
    };
    let kinds = RoomCommand::catalogue().into_iter();
    kinds.flat_map(|kind| vec![(kind.clone(), (kind.schema)().to_value()); often(kind.name)]).collect()
});

/// Servers, parts of the system, and people with more and fewer grants.
fn caller(number: usize) -> Caller {
    let who = PEOPLE[number % PEOPLE.len()];
    match number % 24 {
        0..4 => server(),
        4..6 => recorder(),
        6 => deadlines(),
        7 => granted_key(Grants::default()),
        8 => granted(who, Grants::default()),
        9 => granted(who, Grants { room: Some("elsewhere".into()), ..Grants::everything() }),
        10 => granted(who, Grants { room_record: true, ..Grants::everything() }),
        role => person_of(who, [Role::Host, Role::Host, Role::Moderator, Role::Speaker, Role::Viewer][role % 5]),
    }
}

impl RandomWalk {
    pub fn new() -> Self {
        Self {
            room: Room::Absent,
            now: "2030-01-01T00:00:00Z".parse().unwrap(),
            commands: 0,
            ledger: Ledger::default(),
            messages: BTreeMap::new(),
            events: Vec::new(),
            done: Vec::new(),
        }
    }

    pub fn take(&mut self, step: &WalkStep) {
        let mut dice = Dice::new(step.dice);
        self.now = self.now.plus_seconds(i64::from(step.wait) / 16);
        self.commands += 1;
        let caller = caller(step.caller.into());
        let (kind, schema) = self.command(step, &mut dice);
        let body = self.body(schema, step.dice);
        // Bounds that a schema does not tell are met most of the time.
        let Ok(command) = RoomCommand::parse(kind.name, body.to_string().as_bytes()) else { return };
        let external = self.external(&command, &mut dice);
        let decision = self.decide(kind, &command, &caller, &external);
        if let Some(new_events) = decision {
            self.happen(kind, new_events);
        }
        invariants::check(&self.room, &self.ledger, self.version(), self.now);
        if dice.once_in(4) {
            self.room = invariants::as_snapshot(&self.room);
        }
    }

    /// Folding all that happened once more leads to the same room.
    pub fn end(self) {
        let mut room = Room::Absent;
        for (version, logged) in (1..).zip(&self.events) {
            room = room.evolve(version, logged.at, &logged.event, logged.sealed.as_ref());
        }
        assert_eq!(room, self.room);
    }

    fn version(&self) -> RoomVersion {
        self.events.len() as RoomVersion
    }

    /// A sequence begins with a room in most cases, does not end it at once, and leaves some people unbanned.
    fn command(&self, step: &WalkStep, dice: &mut Dice) -> &'static (CommandKind, Value) {
        let find = |name: &str| COMMANDS.iter().find(|(kind, _)| kind.name == name);
        let chosen = &COMMANDS[usize::from(step.command) % COMMANDS.len()];
        let instead = match chosen.0.name {
            _ if self.room == Room::Absent && !dice.once_in(8) => find("create-room"),
            "end-room" | "ban" if !dice.once_in(4) => find("join"),
            _ => None,
        };
        instead.unwrap_or(chosen)
    }

    fn body(&self, schema: &Value, seed: u64) -> Value {
        let things = Things {
            now: self.now,
            outside: self.ledger.outside().map(ToString::to_string).collect(),
            sessions: self.ledger.sessions().map(|session| session.to_string()).collect(),
            tracks: self.ledger.tracks().map(|track| track.to_string()).collect(),
            recordings: self.ledger.recording().map(|recording| recording.to_string()).into_iter().collect(),
            messages: self.messages.keys().copied().collect(),
        };
        Bodies { root: schema, things: &things, dice: Dice::new(seed) }.of(schema, "")
    }

    fn external(&self, command: &RoomCommand, dice: &mut Dice) -> ExternalData {
        match command.lookup() {
            Lookup::Nothing => ExternalData::default(),
            Lookup::NameHolder(_) => {
                ExternalData { name_holder: dice.once_in(8).then(room_id), ..ExternalData::default() }
            }
            Lookup::Message(version) => {
                ExternalData { message: self.messages.get(&version).cloned(), ..ExternalData::default() }
            }
        }
    }

    fn decide(
        &self,
        kind: &CommandKind,
        command: &RoomCommand,
        caller: &Caller,
        external: &ExternalData,
    ) -> Option<Vec<NewEvent>> {
        let command_id = CommandId::from_uuid(Uuid::from_u128(
            0x0193_0000_0000_7000_8000_0000_0000_0000 + u128::from(self.commands),
        ));
        let context = DecisionContext { caller, room: room_id(), now: self.now, history: false, command_id, external };
        let result = command.decide(&self.room, &context);
        assert_eq!(command.decide(&self.room, &context), result, "{} is decided alike each time", kind.name);
        is_listed(kind, &result);
        match result {
            Ok(Decision::Events(new_events)) => Some(new_events),
            Ok(Decision::Existing(_)) | Err(_) => None,
        }
    }

    fn happen(&mut self, kind: &CommandKind, new_events: Vec<NewEvent>) {
        if !new_events.is_empty() {
            self.done.push(kind.name);
        }
        let before = self.room.clone();
        for new_event in new_events {
            invariants::check_round_trip(&new_event);
            let version = self.version() + 1;
            let sealed = new_event.personal.map(|_| Sealed(Bytes::from(format!("sealed at {version}"))));
            let room = self.room.clone().evolve(version, self.now, &new_event.event, sealed.as_ref());
            if invariants::changes_the_room(&new_event.event) {
                assert_ne!(room, self.room, "{} led to {:?}, which changes nothing", kind.name, new_event.event);
            }
            self.room = room;
            if let Some(message) = SentMessage::of(&new_event.event) {
                self.messages.insert(version, message);
            }
            self.ledger.enter(&new_event.event, self.now);
            self.events.push(LoggedEvent { at: self.now, event: new_event.event, sealed });
        }
        invariants::check_step(kind.name, &before, &self.room);
    }
}
