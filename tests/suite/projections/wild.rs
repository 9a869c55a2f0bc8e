//! Histories whose events come in any order of the times at which they happened, as when rooms are moved in one by one, and
//! what is true of them, counted by hand.

use convoke::events::room::{
    Audience, EndReason, LeaveReason, MessageSent, ParticipantJoined, ParticipantLeft, Role, RoomCreated, RoomEnded,
    RoomEvent, Settings, TrackKind, TrackPublished, TrackSource, TrackUnpublished, UnpublishReason,
};
use convoke::events::time::Timestamp;
use convoke::ids::{Actor, CommandId, Identity, RoomId, RoomKey, SessionId, TenantId, TrackId};

use super::story::{Dice, Story, StoryEvent};

/// Something that went on from one time to another; to this day, without an end.
#[derive(Clone, Debug)]
pub struct Span {
    pub room: RoomId,
    pub identity: Identity,
    pub session: SessionId,
    pub from: i64,
    pub to: Option<i64>,
}

impl Span {
    pub fn holds(&self, at: i64) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

/// What happened in the rooms of one tenant. Times are microseconds since 1970.
pub struct Wild {
    pub tenant: TenantId,
    pub rooms: Vec<RoomId>,
    pub stays: Vec<Span>,
    pub screens: Vec<Span>,
    pub messages: Vec<(RoomId, i64)>,
    tracks: Vec<(usize, usize, TrackId)>,
    versions: Vec<u64>,
}

pub const DAY: i64 = 86_400_000_000;
pub const HOUR: i64 = 3_600_000_000;
/// 2030-03-01.
pub const BEGIN: i64 = 1_898_553_600_000_000;
/// From [`BEGIN`]: time enough for stays over several midnights.
const DAYS: i64 = 4;

const PEOPLE: [&str; 5] = ["ann", "bob", "cid", "dot", "eve"];

impl Wild {
    /// Adds to a story what happens in a tenant of its own.
    pub fn tell(story: &mut Story, dice: &mut Dice, tenant: TenantId, events: usize) -> Self {
        let rooms: Vec<_> = (0..3).map(|_| RoomId::from_uuid(story.id())).collect();
        let (stays, screens, messages, tracks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut wild = Self { tenant, rooms, stays, screens, messages, tracks, versions: vec![0; 3] };
        for room in 0..3 {
            wild.say(story, room, BEGIN, RoomCreated { name: None, opens_at: None, settings: Settings::default() });
        }
        for _ in 0..events {
            wild.go_on(story, dice);
        }
        // One of the rooms comes to its end.
        let open: Vec<_> = (0..wild.stays.len()).filter(|stay| wild.is_open(*stay, 0)).collect();
        for stay in open {
            wild.leave(story, stay, time(dice));
        }
        wild.say(story, 0, time(dice), RoomEnded { reason: EndReason::Requested });
        wild
    }

    fn is_open(&self, stay: usize, room: usize) -> bool {
        self.stays[stay].to.is_none() && self.stays[stay].room == self.rooms[room]
    }

    fn go_on(&mut self, story: &mut Story, dice: &mut Dice) {
        let (room, at) = (dice.roll(3), time(dice));
        let open: Vec<_> = (0..self.stays.len()).filter(|stay| self.is_open(*stay, room)).collect();
        let stay = if open.is_empty() { None } else { Some(open[dice.roll(open.len())]) };
        match (dice.roll(12), stay) {
            (0..=3, _) | (_, None) => self.join(story, room, PEOPLE[dice.roll(PEOPLE.len())], at),
            (4..=6, Some(stay)) => self.leave(story, stay, at),
            (7..=8, Some(stay)) => self.share(story, stay, at),
            (9, Some(_)) if !self.tracks.is_empty() => {
                let track = dice.roll(self.tracks.len());
                self.unshare(story, track, at);
            }
            (10, Some(_)) => {
                // Of somebody who never came: it says nothing.
                let session = SessionId::from_uuid(story.id());
                let (identity, reason) = (person("eve"), LeaveReason::Left);
                self.say(story, room, at, ParticipantLeft { identity, session, reason, seconds: 0 });
            }
            (_, Some(stay)) => {
                let (author, to) = (self.stays[stay].identity.clone(), Audience::Everyone);
                self.say(story, room, at, MessageSent { author, to, reply_to: None });
                self.messages.push((self.rooms[room], at));
            }
        }
    }

    fn join(&mut self, story: &mut Story, room: usize, identity: &str, at: i64) {
        let (identity, session) = (person(identity), SessionId::from_uuid(story.id()));
        let joined = ParticipantJoined { identity: identity.clone(), session, role: Role::Speaker };
        self.say(story, room, at, joined);
        self.stays.push(Span { room: self.rooms[room], identity, session, from: at, to: None });
    }

    fn leave(&mut self, story: &mut Story, stay: usize, at: i64) {
        let span = &mut self.stays[stay];
        let to = at.max(span.from);
        span.to = Some(to);
        let (identity, session) = (span.identity.clone(), span.session);
        let seconds = u64::try_from((to - span.from) / 1_000_000).unwrap();
        let room = self.rooms.iter().position(|room| *room == span.room).unwrap();
        self.say(story, room, at, ParticipantLeft { identity, session, reason: LeaveReason::Left, seconds });
        for (_, screen, _) in self.tracks.extract_if(.., |(of, _, _)| *of == stay) {
            self.screens[screen].to = Some(to.max(self.screens[screen].from));
        }
    }

    fn share(&mut self, story: &mut Story, stay: usize, at: i64) {
        let span = self.stays[stay].clone();
        let track = TrackId::from_uuid(story.id());
        let room = self.rooms.iter().position(|room| *room == span.room).unwrap();
        for (source, track) in [(TrackSource::Camera, TrackId::from_uuid(story.id())), (TrackSource::Screen, track)] {
            let published = TrackPublished {
                track,
                identity: span.identity.clone(),
                session: span.session,
                kind: TrackKind::Video,
                source,
                codec: None,
                width: None,
                height: None,
                muted: false,
            };
            self.say(story, room, at, published);
        }
        self.tracks.push((stay, self.screens.len(), track));
        self.screens.push(Span { from: at, to: None, ..span });
    }

    fn unshare(&mut self, story: &mut Story, track: usize, at: i64) {
        let (_, screen, track) = self.tracks.remove(track);
        let span = &mut self.screens[screen];
        span.to = Some(at.max(span.from));
        let room = self.rooms.iter().position(|room| *room == span.room).unwrap();
        self.say(story, room, at, TrackUnpublished { track, reason: UnpublishReason::Unpublished });
    }

    fn say(&mut self, story: &mut Story, room: usize, at: i64, event: impl Into<RoomEvent>) {
        self.versions[room] += 1;
        let told = StoryEvent {
            key: RoomKey { tenant: self.tenant.clone(), room: self.rooms[room] },
            version: self.versions[room],
            at: moment(at),
            event: event.into(),
            sealed: None,
            actor: Actor::Key("test".into()),
            command_id: CommandId::from_uuid(story.id()),
        };
        story.history.push(told);
    }
}

fn person(name: &str) -> Identity {
    Identity::new(name).unwrap()
}

pub fn moment(micros: i64) -> Timestamp {
    Timestamp::from_unix_micros(micros).unwrap()
}

/// Often a round one, so that several things happen at once, also at midnight and on the hour; often in the first hour of one
/// day, which is busy then.
fn time(dice: &mut Dice) -> i64 {
    let minutes = i64::try_from(dice.roll(usize::try_from(DAYS * 24 * 60).unwrap())).unwrap();
    let minutes = if dice.roll(3) == 0 { 24 * 60 + minutes % 60 } else { minutes };
    let round = [60, 30, 5, 1][dice.roll(4)];
    let micros = if dice.roll(3) == 0 { i64::try_from(dice.roll(60_000_000)).unwrap() } else { 0 };
    BEGIN + minutes / round * round * 60_000_000 + micros
}

/// For how long, from one time to another, any of the spans went on.
pub fn covered<'a>(spans: impl Iterator<Item = &'a Span> + Clone, from: i64, to: i64) -> i64 {
    let mut edges: Vec<i64> = spans.clone().flat_map(|span| [span.from, span.to.unwrap_or(to)]).collect();
    edges.extend([from, to]);
    edges.retain(|edge| (from..=to).contains(edge));
    edges.sort_unstable();
    let parts = edges.windows(2).filter(|part| spans.clone().any(|span| span.holds(part[0])));
    parts.map(|part| part[1] - part[0]).sum()
}

/// The most of the spans that went on at once, from one time until before another.
pub fn most<'a>(spans: impl Iterator<Item = &'a Span> + Clone, from: i64, before: i64) -> u64 {
    let begins = spans.clone().map(|span| span.from).filter(|begin| (from..before).contains(begin));
    let counts = begins.chain([from]).map(|at| spans.clone().filter(|span| span.holds(at)).count());
    counts.max().unwrap_or(0) as u64
}
