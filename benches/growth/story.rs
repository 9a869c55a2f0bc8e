//! A made-up history of any length, always the same for a length: many short meetings, a few broadcasts to hundreds, classes that
//! meet every week for years, and lounges in which somebody always writes. Times are in order; as many rooms go on at once as the
//! length makes necessary.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use convoke::events::room::{
    EndReason, LeaveReason, ParticipantJoined, ParticipantLeft, Role, RoomCreated, RoomEnded, RoomEvent, Settings,
};
use convoke::ids::{Actor, CommandId, Identity, RoomId, RoomKey, SessionId, TenantId};

use super::dice::Dice;
use super::person::Person;
use crate::fixture::Failure;

pub const SECOND: i64 = 1_000_000;
const WEEK: i64 = 7 * 24 * 3600 * SECOND;
const TENANTS: u64 = 20;
const PEOPLE: u64 = 5_000;

/// Of all events. Classes have the rest.
const IN_MEETINGS: f64 = 0.6;
const IN_BROADCASTS: f64 = 0.1;
const IN_LOUNGES: f64 = 0.05;
const LOUNGES: u64 = 2;

/// Events of one of each, about.
const OF_MEETING: f64 = 38.0;
const OF_BROADCAST: f64 = 553.0;
const OF_CLASS_A_WEEK: f64 = 74.0;

/// More is begun than is needed: the history is not to end before its last event.
const SPARE: f64 = 1.04;

/// An event with all that its place in the log does not give.
pub struct StoryEvent {
    pub at_us: i64,
    /// Which of the rooms that go on; the number of one that is over is given to another.
    pub room: usize,
    pub event: RoomEvent,
    pub actor: Actor,
    pub session: Option<SessionId>,
    pub command_id: CommandId,
    /// As long as a sealed name or text.
    pub sealed: Option<Vec<u8>>,
    /// The room begins with it.
    pub begins: Option<RoomKey>,
    /// The room is over with it.
    pub ends: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Meeting,
    Broadcast,
    Class,
    Lounge,
}

impl Shape {
    /// How many come, and how many things happen before they go.
    fn size(self, dice: &mut Dice) -> (u64, u64) {
        match self {
            Shape::Meeting => (2 + dice.roll(8), 10 + dice.roll(20)),
            Shape::Broadcast => (150 + dice.roll(100), 150),
            Shape::Class => (8 + dice.roll(8), 20 + dice.roll(40)),
            Shape::Lounge => (3, u64::MAX),
        }
    }
}

/// A room that goes on.
struct Room {
    shape: Shape,
    created: bool,
    to_come: u64,
    to_happen: u64,
    present: Vec<Person>,
    /// Who came last is about to be heard.
    silent: bool,
    /// Between two things that happen.
    pause_us: i64,
}

/// Begins again and again.
struct Recurring {
    shape: Shape,
    next_us: i64,
    between_us: i64,
}

/// Tells events, one after another.
pub struct Story {
    dice: Dice,
    rooms: Vec<Room>,
    /// Numbers of rooms that are over.
    free: Vec<usize>,
    /// When which room tells its next event.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    recurring: Vec<Recurring>,
    until_us: i64,
}

impl Story {
    /// About `events` events from one time to another.
    pub fn new(events: u64, from_us: i64, until_us: i64) -> Self {
        let length = (until_us - from_us) as f64;
        let events = events as f64 * SPARE;
        let every = |share: f64, of_one: f64| (length / (events * share / of_one)) as i64;
        let recurring =
            [(Shape::Meeting, every(IN_MEETINGS, OF_MEETING)), (Shape::Broadcast, every(IN_BROADCASTS, OF_BROADCAST))]
                .map(|(shape, between_us)| Recurring { shape, next_us: from_us, between_us });
        let (rooms, free, next) = (Vec::new(), Vec::new(), BinaryHeap::new());
        let mut story = Self { dice: Dice::new(7), rooms, free, next, recurring: recurring.into(), until_us };
        for _ in 0..LOUNGES {
            story.open(Shape::Lounge, from_us, every(IN_LOUNGES / LOUNGES as f64, 1.0));
        }
        // They begin one after another in the first weeks.
        let of_class = length / WEEK as f64 * OF_CLASS_A_WEEK;
        let classes = (events * (1.0 - IN_MEETINGS - IN_BROADCASTS - IN_LOUNGES) / of_class).ceil() as i64;
        for number in 0..classes {
            story.open(Shape::Class, from_us + 4 * WEEK / classes * number, 60 * SECOND);
        }
        story
    }

    fn open(&mut self, shape: Shape, at_us: i64, pause_us: i64) {
        let (to_come, to_happen) = shape.size(&mut self.dice);
        let (created, present, silent) = (false, Vec::new(), false);
        let room = Room { shape, created, to_come, to_happen, present, silent, pause_us };
        let number = self.free.pop().unwrap_or(self.rooms.len());
        if number == self.rooms.len() {
            self.rooms.push(room);
        } else {
            self.rooms[number] = room;
        }
        self.next.push(Reverse((at_us, number)));
    }

    /// The next event. There is always one.
    pub fn tell(&mut self) -> Result<StoryEvent, Failure> {
        self.begin_what_is_due();
        let Reverse((at_us, number)) = self.next.pop().ok_or("nothing goes on")?;
        let mut told = StoryEvent {
            at_us: at_us.min(self.until_us),
            room: number,
            event: RoomEnded { reason: EndReason::Empty }.into(),
            actor: Actor::Key("bench".into()),
            session: None,
            command_id: CommandId::from_uuid(self.dice.id(at_us)),
            sealed: None,
            begins: None,
            ends: false,
        };
        self.happen(&mut told)?;
        if told.ends {
            self.free.push(number);
        } else {
            let pause = self.pause(number);
            self.next.push(Reverse((at_us + pause, number)));
        }
        Ok(told)
    }

    fn begin_what_is_due(&mut self) {
        loop {
            let next = self.next.peek().map_or(i64::MAX, |Reverse((at_us, _))| *at_us);
            let Some(due) = self.recurring.iter_mut().find(|recurring| recurring.next_us <= next) else { return };
            let (shape, at_us) = (due.shape, due.next_us);
            due.next_us += self.dice.about(due.between_us);
            let pause_us = if shape == Shape::Broadcast { 20 * SECOND } else { 90 * SECOND };
            self.open(shape, at_us, pause_us);
        }
    }

    /// Until something happens in the room again.
    fn pause(&mut self, number: usize) -> i64 {
        let (room, dice) = (&mut self.rooms[number], &mut self.dice);
        if room.silent {
            return dice.about(SECOND);
        }
        if room.to_come > 0 {
            return dice.about(if room.shape == Shape::Broadcast { 2 * SECOND } else { 8 * SECOND });
        }
        if room.to_happen > 0 {
            return dice.about(room.pause_us);
        }
        if room.shape == Shape::Class && room.present.is_empty() {
            (room.to_come, room.to_happen) = room.shape.size(dice);
            return WEEK - dice.about(3600 * SECOND);
        }
        dice.about(3 * SECOND)
    }

    /// What the room comes to next.
    fn happen(&mut self, told: &mut StoryEvent) -> Result<(), Failure> {
        let (room, dice) = (&mut self.rooms[told.room], &mut self.dice);
        if !room.created {
            room.created = true;
            // Some tenants have more rooms than others.
            let number = dice.roll(TENANTS).min(dice.roll(TENANTS));
            let tenant = TenantId::new(&format!("tenant-{number:02}"))?;
            told.begins = Some(RoomKey { tenant, room: RoomId::from_uuid(dice.id(told.at_us)) });
            told.event = RoomCreated { name: None, opens_at: None, settings: Settings::default() }.into();
        } else if let Some(person) = room.present.last_mut().filter(|_| room.silent) {
            told.by(person);
            told.event = person.is_heard();
            room.silent = false;
        } else if room.to_come > 0 {
            room.to_come -= 1;
            room.silent = room.shape != Shape::Broadcast || room.present.is_empty();
            let role = if room.present.is_empty() { Role::Host } else { Role::Speaker };
            let identity = Identity::new(&format!("person-{}", dice.roll(PEOPLE)))?;
            let person = Person::new(identity, told.at_us, dice);
            told.by(&person);
            told.event = ParticipantJoined { identity: person.identity.clone(), session: person.session, role }.into();
            told.sealed = Some(dice.bytes(60, 40));
            room.present.push(person);
        } else if room.to_happen > 0 {
            room.to_happen -= 1;
            let who = usize::try_from(dice.roll(room.present.len() as u64))?;
            told.by(&room.present[who]);
            told.event = room.present[who].does_something(dice);
            if matches!(told.event, RoomEvent::MessageSent(_)) {
                told.sealed = Some(dice.bytes(60, 160));
            }
        } else if let Some(person) = room.present.pop() {
            told.by(&person);
            let seconds = u64::try_from((told.at_us - person.since_us) / SECOND)?;
            let (identity, session, reason) = (person.identity, person.session, LeaveReason::Left);
            told.event = ParticipantLeft { identity, session, reason, seconds }.into();
        } else {
            told.ends = true;
        }
        Ok(())
    }
}

impl StoryEvent {
    fn by(&mut self, person: &Person) {
        self.actor = Actor::Person(person.identity.clone());
        self.session = Some(person.session);
    }
}
