//! How the relay of this process stands, for health and for logs.

use std::sync::{Arc, Mutex, PoisonError};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RelayState {
    /// A session begins.
    #[default]
    Beginning,
    /// Another process is the relay.
    Waiting,
    Copying,
    /// Kafka or the database does not answer as it should.
    Away {
        why: String,
    },
    /// Somebody has to do something.
    Refused {
        why: String,
    },
}

/// Cheap to clone; clones are one.
#[derive(Clone, Debug, Default)]
pub struct RelayStatus(Arc<Mutex<RelayState>>);

impl RelayStatus {
    pub fn state(&self) -> RelayState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether that is news: another kind of state than before.
    pub(super) fn set(&self, state: RelayState) -> bool {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = std::mem::discriminant(&*present) != std::mem::discriminant(&state);
        *present = state;
        news
    }
}
