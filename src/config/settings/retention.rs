//! How long read models remember.

use super::{Accepts, Duration, Group, HOUR, Setting};

pub(super) const GROUP: Group =
    Group { title: "Retention", settings: &[&RETENTION_SESSIONS, &RETENTION_MESSAGES, &RETENTION_ACTIVITY] };

const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * HOUR.as_secs());

pub const RETENTION_SESSIONS: Setting = Setting::new(
    "CONVOKE_RETENTION_SESSIONS",
    "retention.sessions",
    Accepts::Time(Duration::ZERO, LONGEST),
    "0s",
    "How long after a month of rooms has ended its stays (and so attendance) can be read; by a room's id, and for as long as one of the \
     month's rooms has not ended. 0s: for ever. The log has them either way.",
);
pub const RETENTION_MESSAGES: Setting = Setting::new(
    "CONVOKE_RETENTION_MESSAGES",
    "retention.messages",
    Accepts::Time(Duration::ZERO, LONGEST),
    "0s",
    "The same of messages.",
);
pub const RETENTION_ACTIVITY: Setting = Setting::new(
    "CONVOKE_RETENTION_ACTIVITY",
    "retention.activity",
    Accepts::Time(Duration::ZERO, LONGEST),
    "0s",
    "The same of what went on in rooms hour by hour.",
);
