//! Time as the log keeps it: UTC, in whole microseconds (what PostgreSQL's `timestamptz` holds), written as RFC 3339 with
//! six digits. One precision everywhere means that a time read back equals the time that was hashed.
//!
//! The rules never read a clock: time comes in with the command. [`Clock`] is the one place that asks the machine.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant, UTC, microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// From microseconds since the Unix epoch; `None` outside the years that RFC 3339 can write (0000 to 9999).
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        DateTime::from_timestamp_micros(micros).and_then(Self::new)
    }

    /// Truncates to microseconds. `None` outside the years that RFC 3339 can write.
    pub fn new(at: DateTime<Utc>) -> Option<Self> {
        use chrono::Datelike;
        let at = DateTime::from_timestamp_micros(at.timestamp_micros())?;
        (0..=9999).contains(&at.year()).then_some(Self(at))
    }

    pub fn unix_micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    pub fn utc(self) -> DateTime<Utc> {
        self.0
    }

    /// Saturates at the ends of the range.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        let delta = TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::zero());
        self.0.checked_add_signed(delta).and_then(Self::new).unwrap_or(self)
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
        let at = DateTime::parse_from_rfc3339(text).map_err(|_| BadTimestamp)?;
        Self::new(at.with_timezone(&Utc)).ok_or(BadTimestamp)
    }
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
        .unwrap_or(Timestamp(DateTime::UNIX_EPOCH))
    }
}
