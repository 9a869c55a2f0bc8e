//! The newest events of a room in use, each rendered once for all who see it alike. Older ones are read from the log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::events::envelope::{Envelope, RoomVersion};
use crate::security::sealing::Moment;

/// Events of a room.
pub const KEPT: usize = 1_000;

/// Bytes of them, about.
const KEPT_BYTES: usize = 1 << 20;

/// How long a rendering with open fields is shown: for so long, at most, it may outlive a key whose erasure this process has not
/// heard of.
const LIFE: Duration = Duration::from_secs(5);

/// What an event takes beside its data, and once rendered, about.
const EVENT: usize = 1_500;

/// An event, and how it reads.
pub struct SharedEvent {
    pub envelope: Arc<Envelope>,
    opened: Mutex<Option<(Moment, Instant, Bytes)>>,
    withheld: OnceLock<Bytes>,
}

impl SharedEvent {
    fn new(envelope: Arc<Envelope>) -> Arc<Self> {
        Arc::new(Self { envelope, opened: Mutex::default(), withheld: OnceLock::new() })
    }

    /// With personal fields open, as it was rendered with keys of this moment.
    pub fn opened(&self, moment: Moment) -> Option<Bytes> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = opened.as_ref().filter(|(then, at, _)| *then == moment && at.elapsed() < LIFE);
        fresh.map(|(_, _, bytes)| bytes.clone())
    }

    pub fn keep_opened(&self, moment: Moment, rendered: Bytes) {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some((moment, Instant::now(), rendered));
    }

    /// With personal fields withheld.
    pub fn withheld(&self) -> Option<Bytes> {
        self.withheld.get().cloned()
    }

    pub fn keep_withheld(&self, rendered: Bytes) {
        // Whoever came first rendered the same.
        _ = self.withheld.set(rendered);
    }

    fn bytes(&self) -> usize {
        let sealed = self.envelope.sealed.as_ref().map_or(0, |sealed| sealed.0.len());
        EVENT + 3 * (self.envelope.data.get().len() + sealed)
    }
}

/// The newest events of a room, without a gap.
#[derive(Default)]
pub struct EventsOfRoom {
    events: VecDeque<Arc<SharedEvent>>,
    bytes: usize,
}

impl EventsOfRoom {
    /// Bytes that they take, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in the room's next event; one that is here already changes nothing.
    pub fn push(&mut self, envelope: Arc<Envelope>) {
        if let Some(last) = self.events.back() {
            if envelope.room_version <= last.envelope.room_version {
                return;
            }
            if envelope.room_version != last.envelope.room_version + 1 {
                // Never told with a gap.
                *self = Self::default();
            }
        }
        let event = SharedEvent::new(envelope);
        self.bytes += event.bytes();
        self.events.push_back(event);
        while (self.events.len() > KEPT || self.bytes > KEPT_BYTES)
            && let Some(first) = self.events.pop_front()
        {
            self.bytes -= first.bytes();
        }
    }

    /// Up to `limit` events behind a version, and whether those are all; `None`: they are not all here.
    pub fn after(&self, version: RoomVersion, limit: usize) -> Option<(Vec<Arc<SharedEvent>>, bool)> {
        let first = self.events.front()?.envelope.room_version;
        if version + 1 < first {
            return None;
        }
        let skipped = usize::try_from(version + 1 - first).unwrap_or(usize::MAX).min(self.events.len());
        let found: Vec<_> = self.events.range(skipped..).take(limit).cloned().collect();
        let ended = skipped + found.len() == self.events.len();
        Some((found, ended))
    }
}
