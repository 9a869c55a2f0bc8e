//! Time as the log keeps it: UTC, in whole microseconds (what PostgreSQL's `timestamptz` holds), written as RFC 3339 with
//! six digits. One precision everywhere means that a time read back equals the time that was hashed.
//!
//! The rules never read a clock: time comes in with the command. [`Clock`] is the one place that asks the machine.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Datelike as _, NaiveTime, SecondsFormat, Timelike as _, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// An instant, UTC, microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

/// 0000-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: what RFC 3339 can write.
const RANGE_MICROS: std::ops::RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

impl Timestamp {
    /// 1970-01-01.
    pub const EPOCH: Self = Self(DateTime::UNIX_EPOCH);

    /// From microseconds since the Unix epoch; `None` outside the years that RFC 3339 can write (0000 to 9999).
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        RANGE_MICROS.contains(&micros).then(|| DateTime::from_timestamp_micros(micros).map(Self)).flatten()
    }

    /// When a UUIDv7 says that it was made: it begins with its time, in milliseconds. `None`: after the year 9999.
    pub fn of_uuid7(id: Uuid) -> Option<Self> {
        let millis = i64::try_from(id.as_u128() >> 80).ok()?;
        Self::from_unix_micros(millis.checked_mul(1_000)?)
    }

    /// Truncates to microseconds. `None` outside the years that RFC 3339 can write.
    pub fn new(at: DateTime<Utc>) -> Option<Self> {
        Self::from_unix_micros(at.timestamp_micros())
    }

    pub fn unix_micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// Saturates at the ends of the range.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        let micros = self.unix_micros().saturating_add(seconds.saturating_mul(1_000_000));
        Self::from_unix_micros(micros.clamp(*RANGE_MICROS.start(), *RANGE_MICROS.end())).unwrap_or(self)
    }

    /// The beginning of the period of so many seconds that it lies in. They divide a day, whose beginning begins one.
    /// Asked for each event that is folded: it leaves the date alone.
    pub fn floor(self, seconds: u32) -> Self {
        let second = self.second_of_day();
        let begun = NaiveTime::from_num_seconds_from_midnight_opt(second - second % seconds.max(1), 0);
        Self(self.0.naive_utc().date().and_time(begun.unwrap_or(NaiveTime::MIN)).and_utc())
    }

    /// Whole seconds since the beginning of its day.
    pub fn second_of_day(self) -> u32 {
        self.0.num_seconds_from_midnight()
    }

    /// Whole seconds from `earlier` to `self`, never below zero.
    pub fn seconds_since(self, earlier: Timestamp) -> u64 {
        u64::try_from((self.0 - earlier.0).num_seconds()).unwrap_or(0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("not an RFC 3339 time such as 2026-01-31T09:30:00Z")]
pub struct BadTimestamp;

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        // An offset may be written with U+2212 for chrono, and with no character beyond ASCII for RFC 3339.
        if !text.is_ascii() {
            return Err(BadTimestamp);
        }
        let at = DateTime::parse_from_rfc3339(text).map_err(|_| BadTimestamp)?.with_timezone(&Utc);
        if is_second_60(at) && !may_be_leap_second(at) {
            return Err(BadTimestamp);
        }
        Self::new(at).ok_or(BadTimestamp)
    }
}

/// Chrono keeps a second 60 as a second 59 of more than a billion nanoseconds.
fn is_second_60(at: DateTime<Utc>) -> bool {
    at.nanosecond() >= 1_000_000_000
}

/// Leap seconds are inserted at the end of a month in UTC (ITU-R TF.460; RFC 3339, 5.7). When there were some is not known here.
fn may_be_leap_second(at: DateTime<Utc>) -> bool {
    let last_day = at.date_naive().succ_opt().is_none_or(|next| next.day() == 1);
    last_day && (at.hour(), at.minute(), at.second()) == (23, 59, 59)
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, UTC, microseconds",
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// Where "now" comes from: the machine, or a hand that a test moves.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until [`Clock::set`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.unix_micros()))))
    }

    /// Moves a manual clock, forwards or back; does nothing to the machine's.
    pub fn set(&self, now: Timestamp) {
        if let Some(hand) = &self.0 {
            hand.store(now.unix_micros(), Ordering::SeqCst);
        }
    }

    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(hand) => Timestamp::from_unix_micros(hand.load(Ordering::SeqCst)),
            None => Timestamp::new(Utc::now()),
        }
        .unwrap_or(Timestamp::EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_uuid_of_version_7_says_when_it_was_made() {
        let made = |text: &str| Timestamp::of_uuid7(text.parse().unwrap());
        assert_eq!(made("01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11"), Some(at("2024-11-27T10:33:03.258Z")));
        assert_eq!(made("00000000-0000-7000-8000-000000000000"), Some(Timestamp::EPOCH));
        assert_eq!(made("ffffffff-ffff-7fff-bfff-ffffffffffff"), None);
    }

    #[test]
    fn a_time_is_written_in_utc_with_six_digits() {
        assert_eq!(at("2026-01-31T09:30:00Z").to_string(), "2026-01-31T09:30:00.000000Z");
        assert_eq!(at("2026-01-31T09:30:00.5+02:00").to_string(), "2026-01-31T07:30:00.500000Z");
        assert_eq!(at("1969-12-31T23:59:59.9999999Z").to_string(), "1969-12-31T23:59:59.999999Z");
    }

    #[test]
    fn a_time_read_back_equals_the_time_that_was_written() {
        for micros in [*RANGE_MICROS.start(), -1, 0, 1, 1_769_851_800_123_456, *RANGE_MICROS.end()] {
            let time = Timestamp::from_unix_micros(micros).unwrap();
            let json = serde_json::to_string(&time).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
            assert_eq!(time.unix_micros(), micros);
        }
    }

    #[test]
    fn what_rfc_3339_cannot_write_is_no_time() {
        assert!(Timestamp::from_unix_micros(*RANGE_MICROS.end() + 1).is_none());
        assert!(Timestamp::from_unix_micros(*RANGE_MICROS.start() - 1).is_none());
        assert!(Timestamp::from_unix_micros(i64::MAX).is_none());
        for text in
            ["", "yesterday", "2026-02-30T00:00:00Z", "2026-01-31", "2026-01-31T09:30:00", "9999-12-31T23:59:59-01:00"]
        {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_after_it() {
        assert_eq!(at("2016-12-31T23:59:60Z"), at("2017-01-01T00:00:00Z"));
        assert_eq!(at("2017-01-01T00:59:60+01:00"), at("2017-01-01T00:00:00Z"));
    }

    #[test]
    fn a_second_60_that_no_leap_second_can_be_is_no_time() {
        for text in
            ["2026-01-01T16:00:60Z", "2016-12-30T23:59:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z"]
        {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_offset_is_written_in_ascii() {
        assert_eq!(at("2026-01-01T16:00:00-05:00"), at("2026-01-01T21:00:00Z"));
        for text in ["2026-01-01T16:00:00\u{2212}05:00", "2026-01-01T16:00:00-0500", "2026-01-01T16:00:00+24:00"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn adding_seconds_stops_at_the_ends_of_time() {
        let time = at("2026-01-31T09:30:00Z");
        assert_eq!(time.plus_seconds(90), at("2026-01-31T09:31:30Z"));
        assert_eq!(time.plus_seconds(-30), at("2026-01-31T09:29:30Z"));
        assert_eq!(time.plus_seconds(i64::MAX), at("9999-12-31T23:59:59.999999Z"));
        assert_eq!(time.plus_seconds(i64::MIN), at("0000-01-01T00:00:00Z"));
    }

    #[test]
    fn seconds_between_times_are_whole_and_never_below_zero() {
        let time = at("2026-01-31T09:30:00Z");
        assert_eq!(at("2026-01-31T09:30:01.999999Z").seconds_since(time), 1);
        assert_eq!(time.seconds_since(at("2026-01-31T09:30:05Z")), 0);
        assert_eq!(time.seconds_since(time), 0);
    }

    #[test]
    fn a_manual_clock_stands_still_until_it_is_moved_and_its_copies_move_along() {
        let clock = Clock::manual(at("2026-01-31T09:30:00Z"));
        let copy = clock.clone();
        assert_eq!(copy.now(), at("2026-01-31T09:30:00Z"));
        clock.set(at("2025-01-01T00:00:00Z"));
        assert_eq!(copy.now(), at("2025-01-01T00:00:00Z"));
    }

    #[test]
    fn the_clock_of_the_machine_moves_and_is_not_set() {
        let clock = Clock::system();
        clock.set(at("2000-01-01T00:00:00Z"));
        assert!(clock.now() > at("2020-01-01T00:00:00Z"));
    }
}
