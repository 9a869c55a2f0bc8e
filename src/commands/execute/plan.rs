//! Plans a batch: decides commands one after another on the states of their rooms, in memory.
//!
//! Each command sees the effects of the preceding ones in the batch. A command that cannot be part of the batch is deferred to
//! the next one, together with all later commands to its rooms, so that commands to one room keep their order. Reasons to defer a
//! command: its idempotency key is in the batch already; it changes a name that another room of the batch changes (unless the
//! batch is one unit); it belongs to a group whose rooms are in the batch already; its room is not loaded; the key of its person
//! was not looked up; the batch erases its person; it erases a person whose key the batch creates. Within a group, each command
//! sees the names that the preceding ones took and released.

use std::collections::{HashMap, HashSet};

use super::encode::{CannotSeal, encode};
use super::error::ExecuteError;
use super::keys::BatchKeys;
use super::load::LoadedRoom;
use super::lookup::LookupResult;
use super::pending_commands::PendingCommands;
use super::pending_erasures::PendingErasures;
use super::planned::{PlannedCommands, PlannedOutcome, PlannedRoom};
use super::request::CommandRequest;
use super::response;
use super::rooms::WriterRooms;
use crate::commands::context::{Decision, DecisionContext, ExternalData, Lookup, NewEvent, SentMessage};
use crate::events::log::append::{EventData, NameChange, NewOutcome, OutcomeAt};
use crate::events::room::RoomEvent;
use crate::events::tenant::PersonErased;
use crate::events::time::Timestamp;
use crate::ids::{Identity, RoomId, RoomKey, TenantId};

/// What a group changes, to be taken back where one of its commands is refused.
struct GroupUndo {
    rooms: Vec<(usize, LoadedRoom)>,
    names: NameChanges,
}

/// Who holds a name after what was decided, of names that changed.
type NameChanges = HashMap<(TenantId, String), Option<RoomId>>;

/// Why a command was not decided for good.
pub enum Undecided {
    Failed(ExecuteError),
    Deferred(Option<(TenantId, Identity)>),
}

impl From<ExecuteError> for Undecided {
    fn from(error: ExecuteError) -> Self {
        Undecided::Failed(error)
    }
}

impl From<CannotSeal> for Undecided {
    fn from(CannotSeal(person): CannotSeal) -> Self {
        Undecided::Deferred(person)
    }
}

pub struct BatchPlan<T> {
    now: Timestamp,
    pub keys: BatchKeys,
    /// It is history that is moved in: written whole or not at all, and nobody asks for answers.
    whole: bool,
    pub rooms: Vec<PlannedRoom>,
    /// The room of each event, in the order in which they were decided.
    pub order: Vec<usize>,
    pub answers: Vec<PlannedCommands<T>>,
    pub deferred: Vec<PendingCommands<T>>,
    index: HashMap<RoomKey, usize>,
    /// Rooms that take no further command in this batch.
    closed: HashSet<RoomKey>,
    names: NameChanges,
    idempotency: HashSet<(TenantId, String)>,
    /// Whose keys go with it.
    pub erased: PendingErasures,
    units: u32,
}

impl<T> BatchPlan<T> {
    pub fn new(now: Timestamp, keys: BatchKeys, erased: PendingErasures, whole: bool) -> Self {
        Self {
            now,
            keys,
            whole,
            rooms: Vec::new(),
            order: Vec::new(),
            answers: Vec::new(),
            deferred: Vec::new(),
            index: HashMap::new(),
            closed: HashSet::new(),
            names: HashMap::new(),
            idempotency: HashSet::new(),
            erased,
            units: 0,
        }
    }

    /// Decides a submission, or defers it.
    pub fn add(&mut self, mut submission: PendingCommands<T>, rooms: &mut WriterRooms) {
        let keys = submission.keys();
        if self.must_wait(&submission, &keys) || !self.take_rooms(&keys, &submission, rooms) {
            return self.defer(submission, keys);
        }
        let group = submission.requests.len() > 1;
        let before = group.then(|| self.remember(&keys));
        let unit = self.rooms[self.index[&keys[0]]].append.unit;
        self.erased.begin();
        self.keys.begin(unit);
        let mut outcomes = Vec::with_capacity(submission.requests.len());
        let mut halted = None;
        for (number, request) in submission.requests.iter().enumerate() {
            let room = self.index[&request.key()];
            match self.decide(room, request, &submission.lookups[number]) {
                Ok(outcome) => outcomes.push(outcome),
                Err(halt) => {
                    halted = Some((number, halt));
                    break;
                }
            }
        }
        let result = match halted {
            None => {
                self.keep_outcomes(&submission, &outcomes);
                Ok(outcomes)
            }
            Some((number, halt)) => {
                if let Some(before) = before {
                    self.forget(before);
                }
                self.erased.undo();
                self.keys.undo();
                match halt {
                    Undecided::Failed(error) => Err((number, error)),
                    Undecided::Deferred(person) => {
                        submission.persons.extend(person);
                        return self.defer(submission, keys);
                    }
                }
            }
        };
        if group {
            self.closed.extend(keys);
        }
        self.answers.push(PlannedCommands { submission, unit, result });
    }

    fn defer(&mut self, submission: PendingCommands<T>, keys: Vec<RoomKey>) {
        self.closed.extend(keys);
        self.deferred.push(submission);
    }

    fn must_wait(&self, submission: &PendingCommands<T>, keys: &[RoomKey]) -> bool {
        let in_batch = |key: &RoomKey| self.closed.contains(key) || (keys.len() > 1 && self.index.contains_key(key));
        if keys.iter().any(in_batch) || (submission.requests.len() > 1 && self.index.contains_key(&keys[0])) {
            return true;
        }
        submission.requests.iter().any(|request| {
            let tenant = || request.caller.tenant.clone();
            let key_used = request
                .idempotency
                .as_ref()
                .is_some_and(|given| self.idempotency.contains(&(tenant(), given.key.clone())));
            let name_used = match request.command.lookup() {
                // Units may be left out one by one: a change of a name cannot build on another's.
                Lookup::NameHolder(name) => !self.whole && self.names.contains_key(&(tenant(), name)),
                Lookup::Nothing | Lookup::Message(_) => false,
            };
            key_used || name_used
        })
    }

    /// Brings the rooms into the batch, as one unit. `false`: one of them is not loaded; none was brought in.
    fn take_rooms(&mut self, keys: &[RoomKey], submission: &PendingCommands<T>, rooms: &mut WriterRooms) -> bool {
        let fresh = |key: &RoomKey| submission.presumes_absent(key);
        if !keys.iter().all(|key| self.index.contains_key(key) || rooms.contains(key) || fresh(key)) {
            return false;
        }
        let unit = self.units;
        self.units += 1;
        for key in keys {
            if !self.index.contains_key(key) {
                let room = rooms.take(key).unwrap_or_default();
                self.index.insert(key.clone(), self.rooms.len());
                self.rooms.push(PlannedRoom::new(unit, key.clone(), room));
            }
        }
        true
    }

    fn remember(&self, keys: &[RoomKey]) -> GroupUndo {
        let rooms = keys.iter().map(|key| self.index[key]).map(|room| (room, self.rooms[room].room.clone()));
        GroupUndo { rooms: rooms.collect(), names: self.names.clone() }
    }

    /// A group's rooms were in the batch for it alone: as they were means without anything to write.
    fn forget(&mut self, before: GroupUndo) {
        self.names = before.names;
        for (number, room) in before.rooms {
            self.order.retain(|of| *of != number);
            let planned = &mut self.rooms[number];
            *planned = PlannedRoom::new(planned.append.unit, planned.append.key.clone(), room);
        }
    }

    fn keep_outcomes(&mut self, submission: &PendingCommands<T>, outcomes: &[PlannedOutcome]) {
        for (request, outcome) in submission.requests.iter().zip(outcomes) {
            let Some(given) = &request.idempotency else { continue };
            self.idempotency.insert((request.caller.tenant.clone(), given.key.clone()));
            self.rooms[outcome.room].append.outcomes.push(NewOutcome {
                key: given.key.clone(),
                fingerprint: given.fingerprint,
                status: outcome.status,
                about: outcome.about,
                body: outcome.kept.clone(),
                at: outcome.at,
            });
        }
    }

    fn decide(
        &mut self,
        number: usize,
        request: &CommandRequest,
        found: &LookupResult,
    ) -> Result<PlannedOutcome, Undecided> {
        let planned = &self.rooms[number];
        if let Some(expected) = request.expected_version
            && expected != planned.room.version
        {
            return Err(ExecuteError::VersionMismatch { actual: planned.room.version }.into());
        }
        let tenant = &request.caller.tenant;
        if request.command.erases().is_some_and(|identity| self.keys.made_before(tenant, identity)) {
            return Err(Undecided::Deferred(None));
        }
        let now = request.occurred_at.unwrap_or(self.now);
        let changed = self.changed_in_batch(planned, request);
        let context = DecisionContext {
            caller: &request.caller,
            room: request.room,
            now,
            history: request.occurred_at.is_some(),
            command_id: request.command_id,
            external: changed.as_ref().unwrap_or(&found.external),
        };
        let decision = request.command.decide(&planned.room.state, &context);
        match decision.map_err(|refusal| ExecuteError::Refused(Box::new(refusal)))? {
            Decision::Existing(room) if room == request.room => self.write(number, request, Vec::new(), now),
            Decision::Existing(room) => self.existing(number, request, room, found),
            Decision::Events(new_events) => {
                for new_event in &new_events {
                    if let RoomEvent::PersonErased(PersonErased { identity }) = &new_event.event {
                        self.keys.erase(tenant, identity);
                        self.erased.add(tenant.clone(), identity.clone());
                    }
                }
                self.write(number, request, new_events, now)
            }
        }
    }

    /// What this batch changes of what was looked up: it is not in the log yet. Who has a key to lose is known of the batch only.
    fn changed_in_batch(&self, planned: &PlannedRoom, request: &CommandRequest) -> Option<ExternalData> {
        if let Some(identity) = request.command.erases() {
            let tenant = &request.caller.tenant;
            let person_key = self.erased.key_of(tenant, identity).or_else(|| self.keys.made_now(tenant, identity));
            return Some(ExternalData { person_key, ..ExternalData::default() });
        }
        match request.command.lookup() {
            Lookup::Nothing => None,
            Lookup::NameHolder(name) => {
                let name_holder = *self.names.get(&(request.caller.tenant.clone(), name))?;
                Some(ExternalData { name_holder, ..ExternalData::default() })
            }
            Lookup::Message(version) => {
                let index = usize::try_from(version.checked_sub(planned.append.expected + 1)?).ok()?;
                let event = planned.append.events.get(index)?;
                let event = RoomEvent::decode(event.event_type, event.type_version, event.data.get()).ok()?;
                Some(ExternalData { message: SentMessage::of(&event), ..ExternalData::default() })
            }
        }
    }

    /// Another room answers in this one's place.
    fn existing(
        &self,
        number: usize,
        request: &CommandRequest,
        room: RoomId,
        found: &LookupResult,
    ) -> Result<PlannedOutcome, Undecided> {
        let key = RoomKey { tenant: request.caller.tenant.clone(), room };
        let same_unit = |index: &usize| self.rooms[*index].append.unit == self.rooms[number].append.unit;
        if let Some(index) = self.index.get(&key).copied().filter(same_unit) {
            // It is written together with this command, or not at all.
            let planned = &self.rooms[index];
            return Ok(PlannedOutcome {
                room: index,
                about: room,
                room_version: planned.room.version,
                status: 200,
                kept: response::body(room, planned.room.version, &[]),
                at: planned.place(self.now),
                events: 0,
            });
        }
        // The rule answers the holder that it was told of; one that another submission brought into this batch has no place in
        // the log yet.
        let holder = found.holder.filter(|holder| holder.room == room).ok_or(Undecided::Deferred(None))?;
        Ok(PlannedOutcome {
            room: number,
            about: room,
            room_version: holder.version,
            status: 200,
            kept: response::body(room, holder.version, &[]),
            at: OutcomeAt::Already { position: holder.position, recorded_at: holder.recorded_at },
            events: 0,
        })
    }

    /// Adds events to the batch and applies them to the room's state.
    fn write(
        &mut self,
        number: usize,
        request: &CommandRequest,
        new_events: Vec<NewEvent>,
        now: Timestamp,
    ) -> Result<PlannedOutcome, Undecided> {
        let created = matches!(new_events.first(), Some(NewEvent { event: RoomEvent::RoomCreated(_), .. }));
        let planned = &mut self.rooms[number];
        let events = encode(planned.room.version, request, &new_events, &mut self.keys, &self.erased)?;
        let actor = request.caller.identity();
        let mut session = actor.and_then(|actor| planned.room.state.session_of(actor));
        for (new_event, event) in new_events.iter().zip(&events) {
            planned.room.evolve(now, &new_event.event, event.sealed.as_ref(), event.data.get().len());
            let name = || planned.room.state.config().and_then(|config| config.name.clone());
            let change = match &new_event.event {
                RoomEvent::RoomCreated(_) => name().map(NameChange::Claim),
                RoomEvent::RoomEnded(_) => name().map(NameChange::Release),
                _ => None,
            };
            if let Some(change) = change {
                let (name, holder) = match &change {
                    NameChange::Claim(name) => (name, Some(request.room)),
                    NameChange::Release(name) => (name, None),
                };
                self.names.insert((request.caller.tenant.clone(), name.clone()), holder);
                planned.append.names.push(change);
            }
        }
        session = session.or_else(|| actor.and_then(|actor| planned.room.state.session_of(actor)));
        let asked = !self.whole || request.idempotency.is_some();
        let kept = if asked { response::body(request.room, planned.room.version, &events) } else { String::new() };
        let count = events.len();
        self.order.extend(std::iter::repeat_n(number, count));
        planned.append.events.extend(events.into_iter().map(|event| EventData { session, ..event }));
        let at = planned.place(now);
        let status = if created { 201 } else { 200 };
        let (about, room_version) = (request.room, planned.room.version);
        Ok(PlannedOutcome { room: number, about, room_version, status, kept, at, events: count })
    }
}
