//! How long something with open personal fields is shown.

use std::time::{Duration, Instant};

use crate::security::sealing::KeyMoment;

/// For so long, at most, it may outlive a key whose erasure this process has not heard of.
const LIFE: Duration = Duration::from_secs(5);

/// With which keys something was opened, and when.
#[derive(Clone, Copy, Debug)]
pub struct OpenedAt {
    moment: KeyMoment,
    at: Instant,
}

impl OpenedAt {
    /// `moment`: from before the keys were loaded.
    pub fn now(moment: KeyMoment) -> Self {
        Self { moment, at: Instant::now() }
    }

    /// Whether it may be shown at a moment: no key was forgotten since, and it is not old.
    pub fn holds(self, moment: KeyMoment) -> bool {
        self.moment == moment && self.at.elapsed() < LIFE
    }
}
