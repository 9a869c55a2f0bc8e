//! The newest events of a room in use, each rendered once for all who see it alike. Older ones are read from the log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;

use super::Part;
use super::opened::Opened;
use crate::events::envelope::Envelope;
use crate::events::room::RoomEvent;
use crate::ids::RoomVersion;
use crate::security::sealing::Moment;

/// Events of a room.
pub const KEPT: usize = 1_000;

/// Bytes of them, about.
const KEPT_BYTES: usize = 4 << 20;

/// What an event takes beside its data, and once rendered, about.
const EVENT: usize = 1_500;

/// How an event reads, for one kind of viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Personal fields are open, but for texts that were edited or deleted later.
    Open,
    /// All personal fields are open.
    OpenToAdmins,
    Withheld,
    /// Nothing tells whom it is about.
    WithoutWho,
}

const FORMS: usize = 4;

/// What became of a text later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Superseded {
    Edited,
    Deleted,
}

#[derive(Default)]
struct Renderings {
    superseded: Option<Superseded>,
    /// Counts changes of `superseded`.
    revision: u32,
    opened: Option<Opened>,
    forms: [Option<Bytes>; FORMS],
}

impl Renderings {
    fn hold(&self, moment: Moment) -> bool {
        self.opened.is_some_and(|opened| opened.holds(moment))
    }
}

/// An event, decoded once and rendered once for each form.
pub struct SharedEvent {
    pub envelope: Arc<Envelope>,
    event: OnceLock<Option<RoomEvent>>,
    renderings: Mutex<Renderings>,
}

impl SharedEvent {
    fn new(envelope: Arc<Envelope>) -> Arc<Self> {
        Arc::new(Self { envelope, event: OnceLock::new(), renderings: Mutex::default() })
    }

    /// `None`: this program cannot read it.
    pub fn event(&self) -> Option<&RoomEvent> {
        self.event.get_or_init(|| self.envelope.event().ok()).as_ref()
    }

    fn renderings(&self) -> MutexGuard<'_, Renderings> {
        self.renderings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it was rendered with keys of this moment.
    pub fn rendered(&self, form: Form, moment: Moment) -> Option<Bytes> {
        let renderings = self.renderings();
        if renderings.hold(moment) { renderings.forms[form as usize].clone() } else { None }
    }

    /// What became of its text, and how often that changed.
    pub fn superseded(&self) -> (Option<Superseded>, u32) {
        let renderings = self.renderings();
        (renderings.superseded, renderings.revision)
    }

    /// Keeps a rendering that was made of what [`Self::superseded`] said at a revision.
    pub fn keep(&self, form: Form, moment: Moment, revision: u32, rendered: Bytes) {
        let mut renderings = self.renderings();
        if renderings.revision != revision {
            return;
        }
        if !renderings.hold(moment) {
            renderings.opened = Some(Opened::now(moment));
            renderings.forms = Default::default();
        }
        renderings.forms[form as usize] = Some(rendered);
    }

    fn supersede(&self, by: Superseded) {
        let mut renderings = self.renderings();
        let revision = renderings.revision + 1;
        *renderings = Renderings { superseded: Some(by), revision, ..Renderings::default() };
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
    pub fn after(&self, version: RoomVersion, limit: usize) -> Option<Part<SharedEvent>> {
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
