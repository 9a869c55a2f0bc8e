//! Applies events to the activity counts of their room.

use super::hours::{HourCounts, HourSteps, HoursOfDay, StepCounts};
use super::{
    ActivityDayRow, ActivityModel, ActivityRoomRow, ActivitySessionRow, HourRow, MinuteRow, ScreenRow, StepKind,
};
use crate::events::room::TrackPublished;
use crate::events::time::Timestamp;
use crate::ids::{SessionId, TrackId};
use crate::projections::concurrency::{CountSummary, DAY_US, HOUR_US, MINUTE_US, Slices, Steps, floor, number_in};
use crate::projections::decoded_event::DecodedEvent;
use crate::projections::rows::JsonText;

impl ActivityModel {
    pub(super) fn joined(&mut self, entry: &DecodedEvent, session: SessionId) {
        self.stays.put(ActivitySessionRow {
            room: entry.room,
            tenant: entry.tenant.clone(),
            session,
            joined_at: entry.happened_at,
            screens: JsonText(Vec::new()),
        });
        self.step(entry, entry.happened_at, StepKind::People, 1);
        self.change_hour(entry, entry.happened_at, |hour| hour.joins += 1);
    }

    /// Its screens end with a stay.
    pub(super) fn left(&mut self, entry: &DecodedEvent, session: SessionId) {
        let Some(stay) = self.stays.remove((&entry.room, &session, &entry.tenant)) else { return };
        let left_at = entry.happened_at.max(stay.joined_at);
        self.step(entry, left_at, StepKind::People, -1);
        for (track, since) in stay.screens.0 {
            self.screens.remove((&entry.room, &track, &entry.tenant));
            self.step(entry, left_at.max(since), StepKind::Screens, -1);
        }
    }

    pub(super) fn shared(&mut self, entry: &DecodedEvent, published: &TrackPublished) {
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
        self.step(entry, entry.happened_at, StepKind::Screens, 1);
    }

    pub(super) fn unshared(&mut self, entry: &DecodedEvent, track: TrackId) {
        let Some(screen) = self.screens.remove((&entry.room, &track, &entry.tenant)) else { return };
        let mut since = None;
        self.stays.change((&entry.room, &screen.session, &entry.tenant), |stay| {
            let place = stay.screens.0.iter().position(|(shared, _)| *shared == track);
            since = place.map(|place| stay.screens.0.remove(place).1);
        });
        if let Some(since) = since {
            self.step(entry, entry.happened_at.max(since), StepKind::Screens, -1);
        }
    }

    /// Nothing comes after it.
    pub(super) fn ended(&mut self, entry: &DecodedEvent) {
        let key = (&entry.room, &entry.tenant);
        let Some(latest) = self.rooms.get(key).map(|room| room.latest) else { return };
        self.rooms.change(key, |room| room.ended = true);
        self.evict(entry, latest, None);
    }

    /// A count changes.
    fn step(&mut self, entry: &DecodedEvent, at: Timestamp, count: StepKind, delta: i32) {
        let mut spilt = None;
        let mut apart = false;
        self.change_day(entry, at, |day| {
            match count {
                StepKind::People => day.net += i64::from(delta),
                StepKind::Screens => day.screens_net += i64::from(delta),
            }
            let hour = day.hours.at(number_in(at, DAY_US, HOUR_US));
            if let HourSteps::Here(both) = &mut hour.steppings {
                let steps = if count == StepKind::People { &mut both.people } else { &mut both.screens };
                steps.add(floor(at, HOUR_US), at, delta);
            } else {
                apart = true;
            }
            spilt = hour.spill();
        });
        if apart {
            self.step_apart(entry, at, count, delta);
        } else if let Some(both) = spilt {
            self.spill(entry, floor(at, HOUR_US), &both);
        }
    }

    /// The steps of an hour go where there is more room for them.
    fn spill(&mut self, entry: &DecodedEvent, hour: Timestamp, both: &StepCounts) {
        let (room, tenant, screens) = (entry.room, entry.tenant.clone(), both.screens.clone());
        self.hours.put(HourRow { room, tenant, hour, screens, minutes: Slices::default() });
        for (at, delta) in both.people.iter(hour) {
            self.step_apart(entry, at, StepKind::People, delta);
        }
    }

    /// A count changes in an hour whose steps lie apart; the day is told what they come to.
    fn step_apart(&mut self, entry: &DecodedEvent, at: Timestamp, count: StepKind, delta: i32) {
        let (hour, minute) = (floor(at, HOUR_US), floor(at, MINUTE_US));
        let mut outline = CountSummary::default();
        if count == StepKind::People {
            let key = (&entry.room, &minute, &entry.tenant);
            if self.minutes.get(key).is_none() {
                let (room, tenant, steps) = (entry.room, entry.tenant.clone(), Steps::default());
                self.minutes.put(MinuteRow { room, tenant, minute, steps });
            }
            self.minutes.change(key, |row| outline = row.steps.add(minute, at, delta));
        }
        let (mut people, mut screens_net) = (CountSummary::default(), 0);
        self.hours.change((&entry.room, &hour, &entry.tenant), |row| {
            if count == StepKind::People {
                row.minutes.set(number_in(at, HOUR_US, MINUTE_US), outline);
            } else {
                row.screens.add(hour, at, delta);
            }
            (people, screens_net) = (row.minutes.outline(), row.screens.outline().net);
        });
        self.change_day(entry, at, |day| {
            day.hours.at(number_in(at, DAY_US, HOUR_US)).steppings = HourSteps::Apart { people, screens_net };
        });
    }

    /// Changes the hour of a time.
    pub(super) fn change_hour(&mut self, entry: &DecodedEvent, at: Timestamp, change: impl FnOnce(&mut HourCounts)) {
        self.change_day(entry, at, |day| change(day.hours.at(number_in(at, DAY_US, HOUR_US))));
    }

    /// Changes the day of a time, which begins with that where it has no row.
    fn change_day(&mut self, entry: &DecodedEvent, at: Timestamp, change: impl FnOnce(&mut ActivityDayRow)) {
        self.seen(entry, at);
        let day = floor(at, DAY_US);
        let key = (&entry.room, &day, &entry.tenant);
        if self.days.get(key).is_none() {
            let (room, tenant, hours) = (entry.room, entry.tenant.clone(), HoursOfDay::default());
            self.days.put(ActivityDayRow { room, tenant, day, net: 0, screens_net: 0, hours });
        }
        self.days.change(key, change);
    }

    fn seen(&mut self, entry: &DecodedEvent, at: Timestamp) {
        let key = (&entry.room, &entry.tenant);
        match self.rooms.get(key).map(|room| room.latest) {
            None => {
                let (room, tenant) = (entry.room, entry.tenant.clone());
                self.rooms.put(ActivityRoomRow { room, tenant, latest: at, ended: false });
            }
            Some(latest) if latest < at => {
                self.rooms.change(key, |room| room.latest = at);
                self.evict(entry, latest, Some(at));
            }
            Some(_) => {}
        }
    }

    /// The room has moved on: the rows of an earlier time that are not those of the present one will hardly be asked for.
    fn evict(&mut self, entry: &DecodedEvent, earlier: Timestamp, now: Option<Timestamp>) {
        let passed = |length_us| {
            let begun = floor(earlier, length_us);
            now.is_none_or(|now| floor(now, length_us) != begun).then_some(begun)
        };
        if let Some(minute) = passed(MINUTE_US) {
            self.minutes.evict((&entry.room, &minute, &entry.tenant));
        }
        if let Some(hour) = passed(HOUR_US) {
            self.hours.evict((&entry.room, &hour, &entry.tenant));
        }
        if let Some(day) = passed(DAY_US) {
            self.days.evict((&entry.room, &day, &entry.tenant));
        }
    }
}
