//! Usage of a tenant for each day of UTC: the time that people spent in its rooms, the number of joins, and the peak of
//! concurrent sessions. It counts sessions, not persons: somebody with two devices counts twice, as carriers count.
//!
//! Usage counts by occurred time and is exact for events in any order: an import writes rooms one after another, long after the
//! days in question. Three observations make a fold possible.
//!
//! *Time needs no pairs.* The time of a day is the number of sessions, integrated over the day. With `carry` sessions at midnight
//! it is `carry` whole days, plus the rest of the day for each join, minus the rest of the day for each leave. So the row of a
//! day keeps the sum of these rests (`area_us`) and the change of the count (`net`); readers compute `carry` as the sum of `net`
//! over the preceding days. Sessions over midnight and open sessions need no special case.
//!
//! *A peak needs the instants of its slice only.* Each slice of five minutes with events keeps its steps; the day keeps the sum
//! and the peak of each slice, relative to its beginning ([`concurrency`](super::concurrency)). A late event changes one slice, a
//! few bytes for each step, and the row of the day.
//!
//! *Nobody leaves before they join.* Both ends of a session are events with their own times; if the end precedes the beginning,
//! the session has no length. Hence [`UsageSessionRow`]: who is present, since when. A leave without such a row changes
//! nothing, so an odd event cannot distort the count for good.
//!
//! Slices and days stay in memory until the tenant's events move on, and are rarely read: times after the latest one of the
//! tenant ([`TenantRow`]) are not in the tables yet.

mod read;

pub use read::{DayQuery, UsageDay};

use super::concurrency::{CountSummary, DAY_US, MINUTE_US, Slices, Steps, floor, number_in};
use super::decoded_event::DecodedEvent;
use super::model::ReadModel;
use super::rows::{AnyWorkingSet, ModelRow, ModelTable, WorkingSet, read_model_table};
use crate::events::room::RoomEvent;
use crate::events::time::Timestamp;
use crate::ids::{RoomId, SessionId, TenantId};

const SLICE_US: i64 = 5 * MINUTE_US;

read_model_table! {
    /// What is known of a tenant as a whole.
    pub struct TenantRow in "rm_usage_tenants", kept while (_row: true) {
        key { tenant: TenantId, }
        /// The latest time at which anybody came or went.
        latest: Timestamp,
    }
}

read_model_table! {
    /// Somebody who has not left.
    pub struct UsageSessionRow in "rm_usage_stays", kept while (_row: true) {
        key { room: RoomId, session: SessionId, tenant: TenantId, }
        joined_at: Timestamp,
    }
}

read_model_table! {
    /// Who came and went in five minutes.
    pub struct SliceRow in "rm_usage_slices", kept until passed {
        key { tenant: TenantId, slice: Timestamp, }
        steps: Steps,
    }
}

read_model_table! {
    pub struct UsageDayRow in "rm_usage_days", kept until passed {
        key { tenant: TenantId, day: Timestamp, }
        /// Stays that began.
        joins: u64,
        /// How many more there were at its end than at its beginning.
        net: i64,
        /// How many more there were at most.
        peak: i64,
        /// The rest of the day for each join, less that for each leave.
        area_us: i64,
        slices: Slices,
    }
}

#[derive(Default)]
pub struct UsageModel {
    tenants: WorkingSet<TenantRow>,
    stays: WorkingSet<UsageSessionRow>,
    slices: WorkingSet<SliceRow>,
    days: WorkingSet<UsageDayRow>,
}

impl ReadModel for UsageModel {
    const NAME: &'static str = "usage";
    const SHAPE: u16 = 1;
    const TABLES: &'static [&'static ModelTable] =
        &[TenantRow::TABLE, UsageSessionRow::TABLE, SliceRow::TABLE, UsageDayRow::TABLE];

    fn need(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::ParticipantJoined(joined) => {
                self.stays.make((&entry.room, &joined.session, &entry.tenant));
                self.need_time(&entry.tenant, entry.happened_at);
            }
            RoomEvent::ParticipantLeft(left) => {
                let key = (&entry.room, &left.session, &entry.tenant);
                self.stays.need(key);
                let joined_at = self.stays.get(key).map(|stay| stay.joined_at);
                self.need_time(&entry.tenant, entry.happened_at.max(joined_at.unwrap_or(entry.happened_at)));
            }
            _ => {}
        }
    }

    fn fold(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::ParticipantJoined(joined) => {
                self.stays.put(UsageSessionRow {
                    room: entry.room,
                    tenant: entry.tenant.clone(),
                    session: joined.session,
                    joined_at: entry.happened_at,
                });
                self.step(&entry.tenant, entry.happened_at, 1);
            }
            RoomEvent::ParticipantLeft(left) => {
                let Some(stay) = self.stays.remove((&entry.room, &left.session, &entry.tenant)) else { return };
                self.step(&entry.tenant, entry.happened_at.max(stay.joined_at), -1);
            }
            _ => {}
        }
    }

    fn sets(&mut self) -> Vec<&mut dyn AnyWorkingSet> {
        vec![&mut self.tenants, &mut self.stays, &mut self.slices, &mut self.days]
    }
}

impl UsageModel {
    /// The rows that a step at this time changes. Where a leave is told to have happened before its join and both are in one
    /// batch, the join asks for them.
    fn need_time(&mut self, tenant: &TenantId, at: Timestamp) {
        self.tenants.need((tenant,));
        if !self.tenants.knows((tenant,)) {
            return;
        }
        let latest = self.tenants.get((tenant,)).map(|row| row.latest);
        let is_new = |length_us| latest.is_none_or(|latest| floor(at, length_us) > floor(latest, length_us));
        let (slice, day) = (floor(at, SLICE_US), floor(at, DAY_US));
        if is_new(SLICE_US) {
            self.slices.make((tenant, &slice));
        } else {
            self.slices.need((tenant, &slice));
        }
        if is_new(DAY_US) {
            self.days.make((tenant, &day));
        } else {
            self.days.need((tenant, &day));
        }
    }

    fn seen(&mut self, tenant: &TenantId, at: Timestamp) {
        match self.tenants.get((tenant,)).map(|row| row.latest) {
            None => self.tenants.put(TenantRow { tenant: tenant.clone(), latest: at }),
            Some(latest) if latest < at => {
                self.tenants.change((tenant,), |row| row.latest = at);
                let (slice, day) = (floor(latest, SLICE_US), floor(latest, DAY_US));
                if slice != floor(at, SLICE_US) {
                    self.slices.evict((tenant, &slice));
                }
                if day != floor(at, DAY_US) {
                    self.days.evict((tenant, &day));
                }
            }
            Some(_) => {}
        }
    }

    fn step(&mut self, tenant: &TenantId, at: Timestamp, delta: i32) {
        self.seen(tenant, at);
        let (slice, day) = (floor(at, SLICE_US), floor(at, DAY_US));
        let number = number_in(at, DAY_US, SLICE_US);
        if self.slices.get((tenant, &slice)).is_none() {
            self.slices.put(SliceRow { tenant: tenant.clone(), slice, steps: Steps::default() });
        }
        if self.days.get((tenant, &day)).is_none() {
            let (joins, net, peak, area_us, slices) = (0, 0, 0, 0, Slices::default());
            self.days.put(UsageDayRow { tenant: tenant.clone(), day, joins, net, peak, area_us, slices });
        }
        let mut outline = CountSummary::default();
        self.slices.change((tenant, &slice), |row| outline = row.steps.add(row.slice, at, delta));
        self.days.change((tenant, &day), |day| {
            day.joins += u64::from(delta > 0);
            day.slices.set(number, outline);
            day.net = day.slices.net();
            day.peak = day.slices.peak();
            let rest_us = DAY_US - (at.unix_micros() - day.day.unix_micros());
            day.area_us += i64::from(delta) * rest_us;
        });
    }
}
