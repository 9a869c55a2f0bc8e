//! The newest events of a room in use. Older ones are read from the log.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ListPart;
use crate::events::room::RoomEvent;
use crate::ids::RoomVersion;
use crate::live::published::{PublishedEvent, Superseded};

/// Events of a room.
pub const KEPT: usize = 1_000;

/// Bytes of them, about.
const KEPT_BYTES: usize = 4 << 20;

/// The newest events of a room, without a gap.
#[derive(Default)]
pub struct EventsOfRoom {
    events: VecDeque<Arc<PublishedEvent>>,
    bytes: usize,
}

impl EventsOfRoom {
    /// Bytes that they take, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in the room's next event; one that is here already changes nothing.
    pub fn push(&mut self, event: Arc<PublishedEvent>) {
        let version = event.envelope.room_version;
        if let Some(last) = self.events.back() {
            if version <= last.envelope.room_version {
                return;
            }
            if version != last.envelope.room_version + 1 {
                // Never told with a gap.
                *self = Self::default();
            }
        }
        match event.event() {
            Some(RoomEvent::MessageEdited(edited)) => self.supersede(edited.message, Superseded::Edited),
            Some(RoomEvent::MessageDeleted(deleted)) => self.supersede(deleted.message, Superseded::Deleted),
            _ => {}
        }
        self.bytes += event.bytes();
        self.events.push_back(event);
        while (self.events.len() > KEPT || self.bytes > KEPT_BYTES)
            && let Some(first) = self.events.pop_front()
        {
            self.bytes -= first.bytes();
        }
    }

    /// The texts of a message so far hold no longer.
    fn supersede(&self, message: RoomVersion, by: Superseded) {
        let from = self.events.partition_point(|event| event.envelope.room_version < message);
        for event in self.events.range(from..) {
            match event.event() {
                Some(RoomEvent::MessageSent(_)) if event.envelope.room_version == message => event.supersede(by),
                Some(RoomEvent::MessageEdited(edited)) if edited.message == message => event.supersede(by),
                _ => {}
            }
        }
    }

    /// Up to `limit` events behind a version, and whether those are all; `None`: they are not all here.
    pub fn after(&self, version: RoomVersion, limit: usize) -> Option<ListPart<PublishedEvent>> {
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
