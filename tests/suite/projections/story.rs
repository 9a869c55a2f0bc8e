//! Histories that could have happened: commands at random, decided by the rules, told as events.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use convoke::commands::context::{Caller, Decision, DecisionContext, ExternalData, Lookup, SentMessage};
use convoke::commands::room::RoomCommand;
use convoke::commands::room::state::Room;
use convoke::events::envelope::Hash;
use convoke::events::log::append::{AppendBatch, EventData, NameChange, RoomAppend};
use convoke::events::log::{EventLog, chain};
use convoke::events::room::{RoomCreated, RoomEvent, Settings};
use convoke::events::sealed::{PersonalFields, Sealed};
use convoke::events::time::{Clock, Timestamp};
use convoke::ids::{Actor, CommandId, Identity, RoomId, RoomKey, TenantId};
use convoke::projections::decoded_event::DecodedEvent;
use convoke::security::grants::Grants;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

/// A small generator of numbers: the same seed tells the same story.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// SplitMix64.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }

    fn of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.roll(one_in) == 0
    }
}

/// Something that happened.
#[derive(Clone)]
pub struct StoryEvent {
    pub key: RoomKey,
    pub version: u64,
    pub at: Timestamp,
    pub event: RoomEvent,
    pub sealed: Option<Sealed>,
    pub actor: Actor,
    pub command_id: CommandId,
}

pub struct Story {
    pub history: Vec<StoryEvent>,
    /// The rooms as the rules have them.
    pub rooms: HashMap<RoomKey, (Room, u64)>,
    keys: Vec<RoomKey>,
    dice: Dice,
    now: Timestamp,
    /// What its ids say: milliseconds since 1970.
    born_ms: u128,
    commands: u64,
    /// How many of `history` are in a log.
    written: usize,
    log_versions: HashMap<RoomKey, At>,
}

const PEOPLE: [&str; 7] = ["ann", "bob", "cid", "dot", "eve", "fay", "gus"];

pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

impl Story {
    pub fn new(seed: u64) -> Self {
        Self {
            history: Vec::new(),
            rooms: HashMap::new(),
            keys: Vec::new(),
            dice: Dice::new(seed),
            now: "2030-01-01T00:00:00Z".parse().unwrap(),
            born_ms: 1_900_000_000_000,
            commands: 0,
            written: 0,
            log_versions: HashMap::new(),
        }
    }

    /// Rooms that are made from now on say by their ids that they were made then.
    pub fn born(&mut self, at: &str) -> &mut Self {
        let at: Timestamp = at.parse().unwrap();
        self.born_ms = u128::try_from(at.unix_micros() / 1000).unwrap();
        self
    }

    /// Goes on for so many commands; what the rules refuse does not happen.
    pub fn go_on(&mut self, commands: usize) -> &mut Self {
        for _ in 0..commands {
            self.now = self.now.plus_seconds(i64::try_from(self.dice.roll(90)).unwrap());
            if self.keys.len() < 2 || self.dice.chance(60) {
                self.create();
            } else {
                // Mostly in the rooms that began last.
                let recent = if self.dice.chance(8) { 0 } else { self.keys.len().saturating_sub(3) };
                let key = self.dice.of(&self.keys[recent..]).clone();
                let (name, body) = self.command(&key);
                self.ask(&key, name, &body);
            }
        }
        self
    }

    fn create(&mut self) {
        let tenant = tenant(if self.dice.chance(4) { "other" } else { "acme" });
        let room = RoomId::from_uuid(self.id());
        let key = RoomKey { tenant, room };
        let mut settings = json!({ "duplicate_identity": *self.dice.of(&["replace", "refuse", "allow", "allow"]) });
        if self.dice.chance(2) {
            settings["lobby"] = (*self.dice.of(&["guests", "everyone"])).into();
        }
        if self.dice.chance(2) {
            settings["labels"] = json!({ "team": *self.dice.of(&["red", "blue"]), "floor": "1" });
        }
        let mut body = json!({ "settings": settings });
        if self.dice.chance(5) {
            body["opens_at"] = self.now.plus_seconds(3600).to_string().into();
        }
        if self.dice.chance(2) {
            body["name"] = format!("room-{}", self.commands).into();
        }
        self.keys.push(key.clone());
        self.ask(&key, "create-room", &body);
    }

    /// An open room with the default settings.
    pub fn open_room(&mut self) -> RoomKey {
        let key = RoomKey { tenant: tenant("acme"), room: RoomId::from_uuid(self.id()) };
        assert!(self.ask(&key, "create-room", &json!({})));
        key
    }

    /// A room with a name that no rule would let through.
    pub fn create_named(&mut self, name: &str) {
        let key = RoomKey { tenant: tenant("acme"), room: RoomId::from_uuid(self.id()) };
        let command_id = CommandId::from_uuid(self.id());
        let event = RoomCreated { name: Some(name.to_owned()), opens_at: None, settings: Settings::default() };
        self.history.push(StoryEvent {
            key,
            version: 1,
            at: self.now,
            event: event.into(),
            sealed: None,
            actor: Actor::Key("test".into()),
            command_id,
        });
    }

    /// Appends an event of a newer program.
    pub async fn write_unreadable(&mut self, log: &EventLog) {
        let key = RoomKey { tenant: tenant("acme"), room: RoomId::from_uuid(self.id()) };
        let event = EventData {
            event_type: "room.teleported",
            type_version: 1,
            occurred_at: None,
            actor: Actor::Key("test".into()),
            session: None,
            command_id: CommandId::from_uuid(self.id()),
            causation_id: None,
            correlation_id: None,
            traceparent: None,
            data: Arc::from(RawValue::from_string("{}".into()).unwrap()),
            sealed: None,
        };
        append(log, &key, (0, chain::START), (vec![event], Vec::new()), Clock::system().now()).await;
    }

    /// A UUIDv7, later than the ones before.
    pub fn id(&mut self) -> Uuid {
        self.commands += 1;
        let millis = self.born_ms + u128::from(self.commands);
        Uuid::from_u128((millis << 80) | (0x7 << 76) | (0b10 << 62) | u128::from(self.commands))
    }

    /// Somebody does something.
    fn command(&mut self, key: &RoomKey) -> (&'static str, Value) {
        let room = &self.rooms.get(key).map(|(room, _)| room.clone()).unwrap_or_default();
        let who = *self.dice.of(&PEOPLE);
        let other = *self.dice.of(&PEOPLE);
        let tracks: Vec<_> = room.open().map(|open| open.tracks.iter().map(|(id, _)| id).collect()).unwrap_or_default();
        let track = if tracks.is_empty() { None } else { Some(*self.dice.of(&tracks)) };
        let messages: Vec<u64> = self
            .history
            .iter()
            .filter(|told| told.key == *key && matches!(told.event, RoomEvent::MessageSent(_)))
            .map(|told| told.version)
            .collect();
        let message = if messages.is_empty() { 1 } else { *self.dice.of(&messages) };
        let role = *self.dice.of(&["viewer", "speaker", "moderator", "host"]);
        let source = *self.dice.of(&["microphone", "camera", "screen", "screen-audio"]);
        let commands = self.commands;
        match self.dice.roll(50) {
            0..=8 => ("join", json!({ "identity": who, "role": role, "display_name": format!("{who} {commands}") })),
            9..=10 => ("join", json!({ "identity": who, "role": "viewer" })),
            11..=13 => ("leave", json!({ "identity": who })),
            14..=15 => ("admit", json!({ "identity": who })),
            16 => ("admit-all", json!({})),
            17 => ("deny", json!({ "identity": who })),
            18 => ("remove", json!({ "identity": who })),
            19 => ("ban", json!({ "identity": who, "ban_s": 600 })),
            20 => ("unban", json!({ "identity": who })),
            21 => ("rename", json!({ "identity": who, "display_name": format!("new {commands}") })),
            22 => ("set-participant-metadata", json!({ "identity": who, "metadata": { "n": commands } })),
            23 => ("change-role", json!({ "identity": who, "role": role })),
            24 => ("transfer-host", json!({ "identity": who })),
            25..=26 => ("raise-hand", json!({ "identity": who })),
            27 => ("lower-hand", json!({ "identity": who })),
            28 => ("lower-all-hands", json!({})),
            29..=31 => ("publish-track", json!({ "identity": who, "source": source, "codec": "opus" })),
            32 => match track {
                Some(track) => ("unpublish-track", json!({ "track": track })),
                None => ("lock-room", json!({})),
            },
            33 => match track {
                Some(track) => ("mute-track", json!({ "track": track })),
                None => ("unlock-room", json!({})),
            },
            34 => match track {
                Some(track) => ("unmute-track", json!({ "track": track })),
                None => ("open-room", json!({})),
            },
            35 => ("mute-participant", json!({ "identity": who })),
            36 => ("allow-unmute", json!({ "identity": who })),
            37 => ("set-spotlight", json!({ "identity": who })),
            38 => ("start-recording", json!({})),
            39 => ("stop-recording", json!({})),
            40 | 44..=48 => {
                let to = match self.dice.roll(3) {
                    0 => json!("everyone"),
                    1 => json!("staff"),
                    _ => json!({ "identities": [other] }),
                };
                ("send-message", json!({ "identity": who, "text": format!("hello {commands}"), "to": to }))
            }
            41 => {
                ("edit-message", json!({ "identity": who, "message": message, "text": format!("edited {commands}") }))
            }
            42 => ("delete-message", json!({ "identity": who, "message": message })),
            _ => match self.dice.roll(8) {
                0 => ("end-room", json!({})),
                1 => ("update-settings", json!({ "labels": { "team": *self.dice.of(&["red", "green"]) } })),
                2 => ("update-settings", json!({ "max_participants": self.dice.roll(9) + 1 })),
                3 => ("open-room", json!({})),
                4 => ("mute-all", json!({})),
                5 => ("clear-spotlight", json!({})),
                6 => ("unlock-room", json!({})),
                _ => ("lock-room", json!({})),
            },
        }
    }

    /// Asks as a server, or as the person whom the command is about.
    pub fn ask(&mut self, key: &RoomKey, name: &str, body: &Value) -> bool {
        let actor = match body.get("identity").and_then(Value::as_str) {
            Some(person) if self.dice.chance(2) => Actor::Person(Identity::new(person).unwrap()),
            _ => Actor::Key("test".into()),
        };
        let caller = Caller { tenant: key.tenant.clone(), actor: actor.clone(), grants: Grants::everything() };
        let command = RoomCommand::parse(name, body.to_string().as_bytes())
            .unwrap_or_else(|fault| panic!("{name} {body}: {fault:?}"));
        let command_id = CommandId::from_uuid(self.id());
        let external = self.external(key, &command);
        let context = DecisionContext {
            caller: &caller,
            room: key.room,
            now: self.now,
            history: true,
            command_id,
            external: &external,
        };
        let (room, version) = self.rooms.remove(key).unwrap_or_default();
        let Ok(Decision::Events(decided)) = command.decide(&room, &context) else {
            self.rooms.insert(key.clone(), (room, version));
            return false;
        };
        let (mut room, mut version) = (room, version);
        for new_event in decided {
            version += 1;
            let sealed = new_event.personal.map(|personal| seal(&personal.fields));
            room = room.evolve(version, self.now, &new_event.event, sealed.as_ref());
            self.history.push(StoryEvent {
                key: key.clone(),
                version,
                at: self.now,
                event: new_event.event,
                sealed,
                actor: actor.clone(),
                command_id,
            });
        }
        self.rooms.insert(key.clone(), (room, version));
        true
    }

    fn external(&self, key: &RoomKey, command: &RoomCommand) -> ExternalData {
        let mut external = ExternalData::default();
        if let Lookup::Message(version) = command.lookup() {
            let sent = self.history.iter().find(|told| told.key == *key && told.version == version);
            external.message = sent.and_then(|told| SentMessage::of(&told.event));
        }
        external
    }

    /// What an event does to the room's name, as the program tells the log. Of a name that no rule lets through it tells nothing.
    fn name_change(&self, told: &StoryEvent) -> Option<NameChange> {
        let change = match &told.event {
            RoomEvent::RoomCreated(created) => created.name.clone().map(NameChange::Claim),
            RoomEvent::RoomEnded(_) => {
                let begun = self.history.iter().find(|begun| begun.key == told.key)?;
                let RoomEvent::RoomCreated(created) = &begun.event else { return None };
                created.name.clone().map(NameChange::Release)
            }
            _ => None,
        };
        change.filter(|change| {
            let (NameChange::Claim(name) | NameChange::Release(name)) = change;
            !name.contains('\0')
        })
    }

    /// As a fold sees it, from position 1.
    pub fn entries(&self) -> Vec<DecodedEvent> {
        let entries = self.history.iter().zip(1..).map(|(told, position)| DecodedEvent {
            position,
            recorded_at: told.at,
            happened_at: told.at,
            tenant: told.key.tenant.clone(),
            room: told.key.room,
            room_version: told.version,
            event: told.event.clone(),
            sealed: told.sealed.clone(),
        });
        entries.collect()
    }

    /// Appends what is not in the log yet, in order.
    pub async fn write(&mut self, log: &EventLog) -> &mut Self {
        self.write_at(log, Clock::system().now()).await
    }

    /// The same, recorded at a time, or at the log's where that is later.
    pub async fn write_at(&mut self, log: &EventLog, now: Timestamp) -> &mut Self {
        let mut rest = &self.history[self.written..];
        while !rest.is_empty() {
            let (first, others) = rest.split_first().unwrap();
            let same = others.iter().take_while(|told| told.key == first.key).count() + 1;
            let (events, later) = rest.split_at(same);
            let at = self.log_versions.get(&first.key).copied().unwrap_or((0, chain::START));
            let names = events.iter().filter_map(|told| self.name_change(told)).collect();
            let at = append(log, &first.key, at, (events.iter().map(new_event).collect(), names), now).await;
            self.log_versions.insert(first.key.clone(), at);
            rest = later;
        }
        self.written = self.history.len();
        self
    }
}

type At = (u64, Hash);

/// Where the room is afterwards.
async fn append(
    log: &EventLog,
    key: &RoomKey,
    (expected, chain): At,
    (events, names): (Vec<EventData>, Vec<NameChange>),
    now: Timestamp,
) -> At {
    let outcomes = Vec::new();
    let append = RoomAppend { unit: 0, key: key.clone(), expected, chain, events, names, outcomes };
    let appended = log.append(&AppendBatch::new(now, vec![append])).await.unwrap();
    let written = appended.rooms[0].as_ref().unwrap();
    (written.version, written.chain)
}

fn new_event(told: &StoryEvent) -> EventData {
    EventData {
        event_type: told.event.name(),
        type_version: told.event.version(),
        occurred_at: Some(told.at),
        actor: told.actor.clone(),
        session: None,
        command_id: told.command_id,
        causation_id: None,
        correlation_id: None,
        traceparent: None,
        data: Arc::from(RawValue::from_string(told.event.to_json().unwrap()).unwrap()),
        sealed: told.sealed.clone(),
    }
}

/// Not sealed at all: folds never look inside.
fn seal(fields: &PersonalFields) -> Sealed {
    Sealed(Bytes::from(serde_json::to_vec(fields).unwrap()))
}
