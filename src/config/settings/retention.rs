//! How long read models remember.

use super::{Accepts, Duration, HOUR, Setting, SettingGroup};

pub(super) const GROUP: SettingGroup =
    SettingGroup { title: "Retention", settings: &[&RETENTION_SESSIONS, &RETENTION_MESSAGES, &RETENTION_ACTIVITY] };

const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * HOUR.as_secs());

pub const RETENTION_SESSIONS: Setting = Setting::new(
    "CONVOKE_RETENTION_SESSIONS",
    "retention.sessions",
    Accepts::Time(Duration::ZERO, LONGEST),
    "0s",
    "How long the sessions (and so the attendance) of a month's rooms are kept after the month, by the time in a room's id, and at least \
     until all of its rooms have ended. 0s: for ever. The log keeps the events in any case.",
);
pub const RETENTION_MESSAGES: Setting = Setting::new(
    "CONVOKE_RETENTION_MESSAGES",
    "retention.messages",
    Accepts::Time(Duration::ZERO, LONGEST),
    "0s",
    "The same for messages.",
);
pub const RETENTION_ACTIVITY: Setting = Setting::new(
    "CONVOKE_RETENTION_ACTIVITY",
    "retention.activity",
    Accepts::Time(Duration::ZERO, LONGEST),
    "0s",
    "The same for activity by the hour.",
);
