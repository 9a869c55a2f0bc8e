//! How long read models remember.

use std::time::Duration;

use super::reader::SettingsReader;
use super::settings;

/// After a month of rooms has ended; `None`: for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionConfig {
    pub sessions: Option<Duration>,
    pub messages: Option<Duration>,
    pub activity: Option<Duration>,
}

impl RetentionConfig {
    pub(super) fn read(reader: &mut SettingsReader<'_>) -> Self {
        let mut kept = |setting| Some(reader.time(setting)).filter(|time| !time.is_zero());
        Self {
            sessions: kept(&settings::RETENTION_SESSIONS),
            messages: kept(&settings::RETENTION_MESSAGES),
            activity: kept(&settings::RETENTION_ACTIVITY),
        }
    }

    /// Of a read model by its name.
    pub fn of(&self, model: &str) -> Option<Duration> {
        match model {
            "sessions" => self.sessions,
            "messages" => self.messages,
            "activity" => self.activity,
            _ => None,
        }
    }
}
