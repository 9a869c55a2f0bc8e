//! What events do to the counts of their room.

use super::{Activity, HourRow, MinuteRow, RoomRow, ScreenRow, StayRow};
use crate::events::ids::{SessionId, TrackId};
use crate::events::room::TrackPublished;
use crate::events::time::Timestamp;
use crate::projections::concurrency::{HOUR_US, MINUTE_US, Outline, Slices, Steps, floor};
use crate::projections::entry::Entry;
use crate::projections::rows::Json;

impl Activity {
    pub(super) fn joined(&mut self, entry: &Entry, session: SessionId) {
        self.stays.put(StayRow {
            room: entry.room,
            tenant: entry.tenant.clone(),
            session,
            joined_at: entry.happened_at,
            screens: Json(Vec::new()),
        });
        self.step(entry, entry.happened_at, 1);
        self.change_hour(entry, entry.happened_at, |hour| hour.joins += 1);
    }

    /// Its screens end with a stay.
    pub(super) fn left(&mut self, entry: &Entry, session: SessionId) {
        let Some(stay) = self.stays.remove((&entry.room, &session, &entry.tenant)) else { return };
        let left_at = entry.happened_at.max(stay.joined_at);
        self.step(entry, left_at, -1);
        for (track, since) in stay.screens.0 {
            self.screens.remove((&entry.room, &track, &entry.tenant));
            self.step_screens(entry, left_at.max(since), -1);
        }
    }

    pub(super) fn shared(&mut self, entry: &Entry, published: &TrackPublished) {
        let key = (&entry.room, &published.session, &entry.tenant);
        if self.stays.get(key).is_none() {
            return;
        }
        self.stays.change(key, |stay| stay.screens.0.push((published.track, entry.happened_at)));
        self.screens.put(ScreenRow {
            room: entry.room,
            tenant: entry.tenant.clone(),
            track: published.track,
            session: published.session,
        });
        self.step_screens(entry, entry.happened_at, 1);
    }

    pub(super) fn unshared(&mut self, entry: &Entry, track: TrackId) {
        let Some(screen) = self.screens.remove((&entry.room, &track, &entry.tenant)) else { return };
        let mut since = None;
        self.stays.change((&entry.room, &screen.session, &entry.tenant), |stay| {
            let place = stay.screens.0.iter().position(|(shared, _)| *shared == track);
            since = place.map(|place| stay.screens.0.remove(place).1);
        });
        if let Some(since) = since {
            self.step_screens(entry, entry.happened_at.max(since), -1);
        }
    }

    /// One more or one fewer is present.
    fn step(&mut self, entry: &Entry, at: Timestamp, delta: i32) {
        let (minute, hour) = (floor(at, MINUTE_US), floor(at, HOUR_US));
        let number = (minute.unix_micros() - hour.unix_micros()) / MINUTE_US;
        let number = u16::try_from(number).expect("an hour has 60 minutes");
        let key = (&entry.room, &minute, &entry.tenant);
        if self.minutes.get(key).is_none() {
            let (room, tenant, steps) = (entry.room, entry.tenant.clone(), Steps::default());
            self.minutes.put(MinuteRow { room, tenant, minute, steps });
        }
        let mut outline = Outline::default();
        self.minutes.change(key, |row| outline = row.steps.add(row.minute, at, delta));
        self.change_hour(entry, at, |hour| {
            hour.minutes.set(number, outline);
            hour.net = hour.minutes.net();
            hour.peak = hour.minutes.peak();
        });
    }

    /// One more screen is shared, or one fewer.
    fn step_screens(&mut self, entry: &Entry, at: Timestamp, delta: i32) {
        self.change_hour(entry, at, |hour| {
            hour.screens.add(hour.hour, at, delta);
            hour.screens_net = hour.screens.net();
        });
    }

    /// Changes the hour of a time, which begins with that where it has no row.
    pub(super) fn change_hour(&mut self, entry: &Entry, at: Timestamp, change: impl FnOnce(&mut HourRow)) {
        self.seen(entry, at);
        let hour = floor(at, HOUR_US);
        let key = (&entry.room, &hour, &entry.tenant);
        if self.hours.get(key).is_none() {
            self.hours.put(HourRow {
                room: entry.room,
                tenant: entry.tenant.clone(),
                hour,
                joins: 0,
                messages: 0,
                net: 0,
                peak: 0,
                screens_net: 0,
                screens: Steps::default(),
                minutes: Slices::default(),
            });
        }
        self.hours.change(key, change);
    }

    fn seen(&mut self, entry: &Entry, at: Timestamp) {
        let key = (&entry.room, &entry.tenant);
        match self.rooms.get(key).map(|room| room.latest) {
            None => {
                let (room, tenant) = (entry.room, entry.tenant.clone());
                self.rooms.put(RoomRow { room, tenant, latest: at, ended: false });
            }
            Some(latest) if latest < at => self.rooms.change(key, |room| room.latest = at),
            Some(_) => {}
        }
    }
}
