//! Reads the usage of a tenant by the day.

use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::super::concurrency::{DAY_US, floor};
use crate::events::time::Timestamp;
use crate::ids::TenantId;
use crate::projections::read::{ListKind, ModelPage, PageRequest, ReadError, ReadModels, decode};

/// Which days, and when it is asked.
#[derive(Clone, Copy, Debug)]
pub struct DayQuery {
    /// Their beginnings, both included; `None`: from the first day on which anybody came.
    pub from: Option<Timestamp>,
    /// `None`: to the day of `as_of`.
    pub until: Option<Timestamp>,
    /// Stays that have not ended count up to here, or to the latest event that the tenant has, if that is later.
    pub as_of: Timestamp,
}

/// A day of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageDay {
    /// Its beginning.
    pub day: Timestamp,
    /// The time spent in rooms, of all stays together.
    pub participant_us: u64,
    /// Most stays at a time.
    pub peak: u64,
    /// Stays that began.
    pub joins: u64,
    /// Stays that go on at its end, or where it has not ended: now.
    pub open: u64,
    /// It has ended.
    pub complete: bool,
}

/// What the steps of one day come to.
#[derive(Clone, Copy, Default)]
struct DayTotals {
    joins: i64,
    net: i64,
    peak: i64,
    area_us: i64,
}

impl ReadModels {
    /// The days of a tenant, each of them, the earliest first.
    pub async fn usage(
        &self,
        tenant: &TenantId,
        days: DayQuery,
        page: PageRequest<'_>,
    ) -> Result<ModelPage<UsageDay>, ReadError> {
        let after: Option<(Timestamp,)> = decode(ListKind::Usage, page.cursor)?;
        let from = after.map(|(day,)| day.plus_seconds(DAY_US / 1_000_000)).or(days.from);
        let until = days.until.unwrap_or(Timestamp::EPOCH.plus_seconds(i64::MAX));
        // What was present at the beginning, and the days from there on, as of one moment.
        let statement = sqlx::query(
            "SELECT b.net,
                t.latest,
                d.day,
                d.joins,
                d.net,
                d.peak,
                d.area_us
             FROM (
                SELECT COALESCE(SUM(e.net), 0)::bigint AS net
                FROM convoke.rm_usage_days e
                WHERE e.tenant = $1 AND e.day < $2
             ) b
             JOIN convoke.rm_usage_tenants t ON t.tenant = $1
             LEFT JOIN LATERAL (
                SELECT f.day, f.joins, f.net, f.peak, f.area_us
                FROM convoke.rm_usage_days f
                WHERE f.tenant = $1 AND f.day >= $2 AND f.day <= $3
                ORDER BY f.day
                LIMIT $4
             ) d ON true
             ORDER BY d.day",
        )
        .bind(tenant.as_str())
        .bind(from.unwrap_or(Timestamp::EPOCH.plus_seconds(i64::MIN)).utc())
        .bind(until.utc())
        .bind(i64::try_from(page.limit).unwrap_or(i64::MAX));
        let rows = self.rows(tenant, statement).await?;
        let Some(first) = rows.first() else { return Ok(ModelPage { items: Vec::new(), next_cursor: None }) };
        let as_of = time(first, 1)?.map_or(days.as_of, |latest| latest.max(days.as_of));
        let mut count = RunningUsage { carry: first.try_get(0)?, as_of };
        let mut known = rows.iter().filter_map(known).peekable();
        let first_day = known.peek().and_then(|known| known.as_ref().ok()).map(|(day, _)| *day);
        let Some(mut day) = from.or(first_day) else { return Ok(ModelPage { items: Vec::new(), next_cursor: None }) };
        let last = floor(as_of, DAY_US).min(until);
        let mut items = Vec::new();
        while day <= last && items.len() < page.limit {
            let steps = match known.next_if(|known| known.as_ref().map_or(true, |(known, _)| *known == day)) {
                Some(known) => known?.1,
                None => DayTotals::default(),
            };
            items.push(count.day(day, steps));
            day = day.plus_seconds(DAY_US / 1_000_000);
        }
        let next_cursor = items.last().filter(|_| day <= last).map(|last| ListKind::Usage.cursor(&(last.day,)));
        Ok(ModelPage { items, next_cursor })
    }
}

/// The present, from day to day.
struct RunningUsage {
    carry: i64,
    as_of: Timestamp,
}

impl RunningUsage {
    fn day(&mut self, day: Timestamp, steps: DayTotals) -> UsageDay {
        let end = day.unix_micros() + DAY_US;
        let open = self.carry + steps.net;
        // No step lies behind `as_of`: the rest of the day is spent by those who are there at its end.
        let rest_us = (end - self.as_of.unix_micros()).max(0);
        let spent_us = i128::from(self.carry) * i128::from(DAY_US) + i128::from(steps.area_us)
            - i128::from(open) * i128::from(rest_us);
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let shown = UsageDay {
            day,
            participant_us: u64::try_from(spent_us).unwrap_or(0),
            peak: count(self.carry + steps.peak),
            joins: count(steps.joins),
            open: count(open),
            complete: rest_us == 0,
        };
        self.carry = open;
        shown
    }
}

fn time(row: &PgRow, column: usize) -> Result<Option<Timestamp>, ReadError> {
    let at: Option<chrono::DateTime<chrono::Utc>> = row.try_get(column)?;
    Ok(at.and_then(Timestamp::new))
}

/// The day of a row, if it has one.
fn known(row: &PgRow) -> Option<Result<(Timestamp, DayTotals), ReadError>> {
    let day = match time(row, 2) {
        Ok(day) => day?,
        Err(error) => return Some(Err(error)),
    };
    let number = |column: usize| row.try_get::<i64, _>(column);
    let steps = || -> sqlx::Result<DayTotals> {
        Ok(DayTotals { joins: number(3)?, net: number(4)?, peak: number(5)?, area_us: number(6)? })
    };
    Some(steps().map(|steps| (day, steps)).map_err(ReadError::from))
}
