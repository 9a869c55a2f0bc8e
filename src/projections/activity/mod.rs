//! Activity in a room for each hour of UTC: joins, peak of sessions, messages, and time of screen shares.
//!
//! Activity counts by occurred time and is exact for events in any order. Sessions and shares are steps of two counts (see
//! [`concurrency`](super::concurrency)). The steps are in the row of the day with their hours (`hours`). A busy hour has rows of
//! its own: for sessions a row per minute, so that an event in an hour with ten thousand joins rewrites a minute and not the
//! hour; for shares, which are few, the row of the hour. Hours and days without a change have no row: readers derive them from
//! the preceding ones. With several screens at once, the time counts while at least one is shared. A share over several hours
//! counts in each of them.
//!
//! A share ends with its session. If an end precedes its beginning, the session or share has no length.

mod fold;
mod hours;
mod read;

use hours::HoursOfDay;
pub use read::{ActivityHour, HourQuery};

use super::concurrency::{DAY_US, HOUR_US, MINUTE_US, Slices, Steps, floor, number_in};
use super::decoded_event::DecodedEvent;
use super::model::ReadModel;
use super::rows::{AnyWorkingSet, JsonText, ModelRow, ModelTable, WorkingSet, read_model_table};
use crate::events::room::{RoomEvent, TrackSource};
use crate::events::time::Timestamp;
use crate::ids::{RoomId, SessionId, TenantId, TrackId};

read_model_table! {
    /// A room in which anything happened that is counted.
    pub struct ActivityRoomRow in "rm_activity_rooms", kept while (row: !row.ended) {
        key { room: RoomId, tenant: TenantId, }
        /// The latest time at which it did.
        latest: Timestamp,
        ended: bool,
    }
}

read_model_table! {
    /// Somebody who has not left.
    pub struct ActivitySessionRow in "rm_activity_stays", kept while (_row: true) {
        key { room: RoomId, session: SessionId, tenant: TenantId, }
        joined_at: Timestamp,
        /// The screens that are shared in it, and since when.
        screens: JsonText<Vec<(TrackId, Timestamp)>>,
    }
}

read_model_table! {
    /// In which stay a screen is shared.
    pub struct ScreenRow in "rm_activity_screens", kept while (_row: true) {
        key { room: RoomId, track: TrackId, tenant: TenantId, }
        session: SessionId,
    }
}

read_model_table! {
    /// Who came and went in a minute of a busy hour.
    pub struct MinuteRow in "rm_activity_minutes", kept until passed {
        key { room: RoomId, minute: Timestamp, tenant: TenantId, }
        steps: Steps,
    }
}

read_model_table! {
    /// A busy hour.
    pub struct HourRow in "rm_activity_hours", kept until passed {
        key { room: RoomId, hour: Timestamp, tenant: TenantId, }
        screens: Steps,
        minutes: Slices,
    }
}

read_model_table! {
    /// A day in which anything happened.
    pub struct ActivityDayRow in "rm_activity_days", kept until passed {
        key { room: RoomId, day: Timestamp, tenant: TenantId, }
        /// How many more were present at its end than at its beginning.
        net: i64,
        /// How many more screens were shared at its end.
        screens_net: i64,
        hours: HoursOfDay,
    }
}

#[derive(Default)]
pub struct ActivityModel {
    rooms: WorkingSet<ActivityRoomRow>,
    stays: WorkingSet<ActivitySessionRow>,
    screens: WorkingSet<ScreenRow>,
    minutes: WorkingSet<MinuteRow>,
    hours: WorkingSet<HourRow>,
    days: WorkingSet<ActivityDayRow>,
}

impl ReadModel for ActivityModel {
    const NAME: &'static str = "activity";
    const SHAPE: u16 = 2;
    const TABLES: &'static [&'static ModelTable] = &[
        ActivityRoomRow::TABLE,
        ActivitySessionRow::TABLE,
        ScreenRow::TABLE,
        MinuteRow::TABLE,
        HourRow::TABLE,
        ActivityDayRow::TABLE,
    ];

    fn need(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::RoomCreated(_) => self.rooms.make((&entry.room, &entry.tenant)),
            RoomEvent::RoomEnded(_) => self.rooms.need((&entry.room, &entry.tenant)),
            RoomEvent::ParticipantJoined(joined) => {
                self.stays.make((&entry.room, &joined.session, &entry.tenant));
                self.need_step(entry, entry.happened_at, StepKind::People);
            }
            RoomEvent::ParticipantLeft(left) => self.need_leave(entry, &left.session),
            RoomEvent::TrackPublished(track) if track.source == TrackSource::Screen => {
                self.stays.need((&entry.room, &track.session, &entry.tenant));
                self.screens.make((&entry.room, &track.track, &entry.tenant));
                self.need_step(entry, entry.happened_at, StepKind::Screens);
            }
            RoomEvent::TrackUnpublished(track) => {
                let key = (&entry.room, &track.track, &entry.tenant);
                self.screens.need(key);
                if let Some(session) = self.screens.get(key).map(|screen| screen.session) {
                    self.need_leave(entry, &session);
                } else {
                    self.need_step(entry, entry.happened_at, StepKind::Screens);
                }
            }
            RoomEvent::MessageSent(_) => {
                self.need_day(entry, entry.happened_at);
            }
            _ => {}
        }
    }

    fn fold(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::RoomEnded(_) => self.ended(entry),
            RoomEvent::ParticipantJoined(joined) => self.joined(entry, joined.session),
            RoomEvent::ParticipantLeft(left) => self.left(entry, left.session),
            RoomEvent::TrackPublished(track) if track.source == TrackSource::Screen => self.shared(entry, track),
            RoomEvent::TrackUnpublished(track) => self.unshared(entry, track.track),
            RoomEvent::MessageSent(_) => self.change_hour(entry, entry.happened_at, |hour| hour.messages += 1),
            _ => {}
        }
    }

    fn sets(&mut self) -> Vec<&mut dyn AnyWorkingSet> {
        vec![&mut self.rooms, &mut self.stays, &mut self.screens, &mut self.minutes, &mut self.hours, &mut self.days]
    }
}

/// What is counted by steps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum StepKind {
    People,
    Screens,
}

impl ActivityModel {
    /// The row of a day, and whether it has the steps of this time apart. It is looked up unless it lies later than all that
    /// the room has had, and so cannot be there.
    fn need_day(&mut self, entry: &DecodedEvent, at: Timestamp) -> bool {
        let room = (&entry.room, &entry.tenant);
        self.rooms.need(room);
        if !self.rooms.knows(room) {
            return false;
        }
        let day = floor(at, DAY_US);
        let key = (&entry.room, &day, &entry.tenant);
        if self.is_new(entry, at, DAY_US) {
            self.days.make(key);
        } else {
            self.days.need(key);
        }
        self.days.get(key).is_some_and(|row| row.hours.apart(number_in(at, DAY_US, HOUR_US)))
    }

    /// Whether nothing has happened yet in the period of time that this lies in.
    fn is_new(&self, entry: &DecodedEvent, at: Timestamp, length_us: i64) -> bool {
        let latest = self.rooms.get((&entry.room, &entry.tenant)).map(|row| row.latest);
        latest.is_none_or(|latest| floor(at, length_us) > floor(latest, length_us))
    }

    /// The rows of a time at which a count changes.
    fn need_step(&mut self, entry: &DecodedEvent, at: Timestamp, count: StepKind) {
        if !self.need_day(entry, at) {
            return;
        }
        let (hour, minute) = (floor(at, HOUR_US), floor(at, MINUTE_US));
        self.hours.need((&entry.room, &hour, &entry.tenant));
        if count == StepKind::Screens {
            return;
        }
        let key = (&entry.room, &minute, &entry.tenant);
        if self.is_new(entry, at, MINUTE_US) {
            self.minutes.make(key);
        } else {
            self.minutes.need(key);
        }
    }

    /// An end changes the rows of its own time, or of the beginning's where that is told to be later. What began in the same
    /// batch has asked for its rows itself.
    fn need_leave(&mut self, entry: &DecodedEvent, session: &SessionId) {
        let key = (&entry.room, session, &entry.tenant);
        self.stays.need(key);
        self.need_step(entry, entry.happened_at, StepKind::People);
        let Some(stay) = self.stays.get(key) else { return };
        let (joined_at, screens) = (stay.joined_at, stay.screens.0.clone());
        if joined_at > entry.happened_at {
            self.need_step(entry, joined_at, StepKind::People);
        }
        for (track, since) in screens {
            self.screens.need((&entry.room, &track, &entry.tenant));
            if since > entry.happened_at {
                self.need_step(entry, since, StepKind::Screens);
            }
        }
    }
}
