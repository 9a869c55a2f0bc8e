//! Reads the activity of a room by the hour.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::hours::{HourCounts, HourSteps, HoursOfDay};
use crate::events::time::Timestamp;
use crate::ids::{RoomId, TenantId};
use crate::projections::concurrency::{DAY_US, HOUR_US, Steps, floor};
use crate::projections::read::{ListKind, ModelPage, PageRequest, ReadError, ReadModels, decode, fetch};
use crate::projections::rows::{BadField, Field as _, columns};

/// Which hours, and when it is asked.
#[derive(Clone, Copy, Debug)]
pub struct HourQuery {
    /// The hours that these times lie in, both included; `None`: from the first, to that of `as_of`.
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// What has not ended counts up to here, or to the latest event of the room, if that is later.
    pub as_of: Timestamp,
}

/// An hour of UTC in which somebody was there or something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivityHour {
    /// Its beginning.
    pub hour: Timestamp,
    pub joins: u64,
    /// Most stays at a time.
    pub peak: u64,
    /// Sent, whoever they were for.
    pub messages: u64,
    /// For how long a screen was shared.
    pub screen_us: u64,
    /// It has ended.
    pub complete: bool,
}

/// What is known of an hour.
#[derive(Default)]
struct HourTotals {
    joins: i64,
    messages: i64,
    net: i64,
    peak: i64,
    screens: Steps,
}

impl ReadModels {
    /// The hours of a room, the earliest first. Hours in which nobody was there and nothing happened are left out.
    pub async fn activity(
        &self,
        tenant: &TenantId,
        room: RoomId,
        hours: HourQuery,
        page: PageRequest<'_>,
    ) -> Result<ModelPage<ActivityHour>, ReadError> {
        let after: Option<(Timestamp,)> = decode(ListKind::Activity, page.cursor)?;
        let from = after.map(|(hour,)| next(hour)).or(hours.from.map(|from| floor(from, HOUR_US)));
        let until = floor(hours.until.unwrap_or(Timestamp::EPOCH.plus_seconds(i64::MAX)), HOUR_US);
        let from_day = from.map_or(Timestamp::EPOCH.plus_seconds(i64::MIN), |from| floor(from, DAY_US));
        // What there was at the beginning, and the days from there on, as of one moment: each has an hour at least.
        let statement = sqlx::query(
            "SELECT b.net,
                b.screens_net,
                r.latest,
                d.day,
                d.hours,
                d.screens
             FROM (
                SELECT COALESCE(SUM(e.net), 0)::bigint AS net, COALESCE(SUM(e.screens_net), 0)::bigint AS screens_net
                FROM convoke.rm_activity_days e
                WHERE e.room = $1 AND e.tenant = $2 AND e.day < $3
             ) b
             JOIN convoke.rm_activity_rooms r ON r.room = $1 AND r.tenant = $2
             LEFT JOIN LATERAL (
                SELECT f.day,
                    f.hours,
                    ARRAY(
                        SELECT h.screens
                        FROM convoke.rm_activity_hours h
                        WHERE h.room = $1 AND h.tenant = $2 AND h.hour >= f.day AND h.hour < f.day + interval '24 hours'
                        ORDER BY h.hour
                    ) AS screens
                FROM convoke.rm_activity_days f
                WHERE f.room = $1 AND f.tenant = $2 AND f.day >= $3 AND f.day <= $4
                ORDER BY f.day
                LIMIT $5
             ) d ON true
             ORDER BY d.day",
        )
        .bind(room.uuid())
        .bind(tenant.as_str())
        .bind(from_day.utc())
        .bind(until.utc())
        .bind(fetch(page.limit) + 1);
        let rows = self.rows(tenant, statement).await?;
        let Some(first) = rows.first() else { return Ok(ModelPage { items: Vec::new(), next_cursor: None }) };
        let as_of = time(first, 2)?.map_or(hours.as_of, |latest| latest.max(hours.as_of));
        let mut count = RunningCount { present: first.try_get(0)?, screens: first.try_get(1)?, as_of };
        let mut known = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Some(day) = time(row, 3)? {
                read(row, day, &mut known)?;
            }
        }
        // The first day may begin before the first hour that is asked for.
        let before = from.map_or(0, |from| known.partition_point(|(hour, _)| *hour < from));
        known.drain(..before).for_each(|(_, before)| count.pass(&before));
        // Of one hour more than there is room for, only that it is there matters.
        let mut items = Vec::new();
        let mut known = known.into_iter().peekable();
        let last = floor(as_of, HOUR_US).min(until);
        let mut hour = from;
        while items.len() <= page.limit {
            // Where nothing goes on, the next hour is the next that has a row.
            let ahead = known.peek().map(|(hour, _)| *hour);
            let Some(at) = (if count.goes_on() { hour.or(ahead) } else { ahead }).filter(|at| *at <= last) else {
                break;
            };
            let row = known.next_if(|(known, _)| *known == at).map(|(_, row)| row).unwrap_or_default();
            items.push(count.hour(at, &row));
            hour = Some(next(at));
        }
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        let next_cursor = items.last().filter(|_| more).map(|last| ListKind::Activity.cursor(&(last.hour,)));
        Ok(ModelPage { items, next_cursor })
    }
}

fn next(hour: Timestamp) -> Timestamp {
    hour.plus_seconds(HOUR_US / 1_000_000)
}

/// The present, from hour to hour.
struct RunningCount {
    present: i64,
    screens: i64,
    as_of: Timestamp,
}

impl RunningCount {
    fn goes_on(&self) -> bool {
        self.present > 0 || self.screens > 0
    }

    fn hour(&mut self, hour: Timestamp, known: &HourTotals) -> ActivityHour {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let length_us = (self.as_of.unix_micros() - hour.unix_micros()).clamp(0, HOUR_US);
        let shown = ActivityHour {
            hour,
            joins: count(known.joins),
            peak: count(self.present + known.peak),
            messages: count(known.messages),
            screen_us: count(known.screens.busy_us(self.screens, length_us)),
            complete: length_us == HOUR_US,
        };
        self.pass(known);
        shown
    }

    fn pass(&mut self, known: &HourTotals) {
        self.present += known.net;
        self.screens += known.screens.net();
    }
}

fn time(row: &PgRow, column: usize) -> Result<Option<Timestamp>, ReadError> {
    let at: Option<chrono::DateTime<chrono::Utc>> = row.try_get(column)?;
    Ok(at.and_then(Timestamp::new))
}

/// Adds the hours of a day.
fn read(row: &PgRow, day: Timestamp, known: &mut Vec<(Timestamp, HourTotals)>) -> Result<(), ReadError> {
    let hours = HoursOfDay::get(columns(row).nth(4).flatten())?;
    // Of the busy hours, in their order.
    let screens: Vec<Vec<u8>> = row.try_get(5)?;
    let mut screens = screens.into_iter();
    for HourCounts { number, joins, messages, steppings } in hours {
        let (net, peak, screens) = match steppings {
            HourSteps::Here(both) => (both.people.net(), both.people.peak(), both.screens),
            HourSteps::Apart { people, .. } => {
                let screens = screens.next().ok_or(BadField("a busy hour"))?;
                (people.net.into(), people.peak.into(), Steps::get(Some(&screens))?)
            }
        };
        let hour = day.plus_seconds(i64::from(number) * HOUR_US / 1_000_000);
        known.push((hour, HourTotals { joins: joins.into(), messages: messages.into(), net, peak, screens }));
    }
    Ok(())
}
