//! One room in memory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::watch;

use super::ListPart;
use super::events::EventsOfRoom;
use super::messages::{MessagesOfRoom, SharedMessage};
use super::pages::{PageKey, RenderedPage, RoomPages};
use super::shown::Shown;
use crate::commands::execute::load::LoadedRoom;
use crate::events::envelope::Envelope;
use crate::events::log::LogError;
use crate::events::room::RoomEvent;
use crate::ids::{Position, RoomId, RoomVersion};
use crate::live::published::PublishedEvent;
use crate::live::snapshots;
use crate::projections::messages::{Message, MessageReader, read_cursor};
use crate::projections::read::{PageRequest, ReadError};
use crate::security::sealing::KeyMoment;

/// What a cell takes beside what is in it.
const CELL: usize = 512;

/// The room as it is.
pub struct RoomContent {
    pub room: LoadedRoom,
    messages: MessageState,
    events: EventState,
}

enum EventState {
    /// Nobody asked for them.
    Unknown,
    /// They are being loaded; these came meanwhile.
    Gathering(Vec<Arc<PublishedEvent>>),
    Known(EventsOfRoom),
}

enum MessageState {
    /// Nobody asked for them.
    Unknown,
    /// They are being loaded; these events came meanwhile.
    Gathering(Vec<(Arc<Envelope>, RoomEvent)>),
    Known(MessagesOfRoom),
}

impl RoomContent {
    fn bytes(&self) -> usize {
        let messages = if let MessageState::Known(known) = &self.messages { known.bytes() } else { 0 };
        let events = if let EventState::Known(known) = &self.events { known.bytes() } else { 0 };
        CELL + self.room.memory() + messages + events
    }
}

pub struct RoomCell {
    now: RwLock<RoomContent>,
    version: watch::Sender<RoomVersion>,
    view: Mutex<Option<Shown>>,
    pages: Mutex<RoomPages>,
    bytes: AtomicUsize,
    pub loaded: Instant,
}

impl RoomCell {
    pub fn new(room: LoadedRoom) -> Self {
        let version = watch::channel(room.version).0;
        let bytes = AtomicUsize::new(CELL + room.memory());
        let now = RwLock::new(RoomContent { room, messages: MessageState::Unknown, events: EventState::Unknown });
        Self { now, version, view: Mutex::default(), pages: Mutex::default(), bytes, loaded: Instant::now() }
    }

    // What these locks guard is whole at every moment, also after a panic.
    fn now(&self) -> RwLockReadGuard<'_, RoomContent> {
        self.now.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, RoomContent> {
        self.now.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn read<T>(&self, take: impl FnOnce(&RoomContent) -> T) -> T {
        take(&self.now())
    }

    fn pages(&self) -> MutexGuard<'_, RoomPages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that it takes, about.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed) + self.pages().bytes()
    }

    /// Takes the room on by one of its events; one that is in the state already changes nothing. Returns whether the nodes should
    /// get a new snapshot of it. An error: the state is not to be used any more.
    pub fn apply(&self, published: &Arc<PublishedEvent>) -> Result<bool, LogError> {
        let envelope = &published.envelope;
        let mut now = self.change();
        let RoomContent { room, messages, events } = &mut *now;
        if envelope.room_version <= room.version {
            return Ok(false);
        }
        let event = room.follow(envelope)?;
        let due = room.snapshot_due(snapshots::EVERY);
        if due {
            room.snapshot_taken();
        }
        match messages {
            MessageState::Unknown => {}
            MessageState::Gathering(gathered) => gathered.push((envelope.clone(), event)),
            MessageState::Known(known) => known.apply(envelope, &event),
        }
        match events {
            EventState::Unknown => {}
            EventState::Gathering(gathered) => gathered.push(published.clone()),
            EventState::Known(known) => known.push(published.clone()),
        }
        self.bytes.store(now.bytes(), Ordering::Relaxed);
        let version = now.room.version;
        drop(now);
        self.version.send_replace(version);
        Ok(due)
    }

    /// Waits until the state is at a version or behind it.
    pub async fn reach(&self, version: RoomVersion) {
        // Its sender lives here: waiting cannot fail.
        _ = self.version.subscribe().wait_for(|at| *at >= version).await;
    }

    /// The room as it is shown, made once for each version, and the position of its last event.
    pub fn view(&self, id: RoomId) -> Option<(serde_json::Result<Shown>, Position)> {
        let now = self.now();
        let position = now.room.position;
        let mut made = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = made.as_ref().filter(|made| made.view.version == now.room.version) {
            return Some((Ok(made.clone()), position));
        }
        let shown = Shown::of(now.room.state.view(id, now.room.version)?);
        *made = shown.as_ref().ok().cloned();
        Some((shown, position))
    }

    pub fn page(&self, key: &PageKey, version: RoomVersion, moment: KeyMoment) -> Option<Bytes> {
        self.pages().get(key, version, moment)
    }

    pub fn keep_page(&self, key: PageKey, made: RenderedPage) {
        self.pages().keep(key, made);
    }

    pub fn has_events(&self) -> bool {
        matches!(self.now().events, EventState::Known(_))
    }

    /// From now on events are gathered, until [`RoomCell::begin_events`]; the version that the state has.
    pub fn gather_events(&self) -> RoomVersion {
        let mut now = self.change();
        if matches!(now.events, EventState::Unknown) {
            now.events = EventState::Gathering(Vec::new());
        }
        now.room.version
    }

    /// `newest`: in order, up to the version at which gathering began, or further.
    pub fn begin_events(&self, newest: Vec<Envelope>) {
        let mut now = self.change();
        if let EventState::Gathering(gathered) = &mut now.events {
            let mut known = EventsOfRoom::default();
            let newest = newest.into_iter().map(|envelope| PublishedEvent::new(Arc::new(envelope)));
            newest.chain(gathered.drain(..)).for_each(|event| known.push(event));
            now.events = EventState::Known(known);
            self.bytes.store(now.bytes(), Ordering::Relaxed);
        }
    }

    /// Up to `limit` events behind a version, and whether those are all; `None`: they are not all here.
    pub fn events(&self, version: RoomVersion, limit: usize) -> Option<ListPart<PublishedEvent>> {
        let now = self.now();
        let EventState::Known(known) = &now.events else { return None };
        known.after(version, limit)
    }

    pub fn has_messages(&self) -> bool {
        matches!(self.now().messages, MessageState::Known(_))
    }

    /// From now on events are gathered, until [`RoomCell::begin_messages`].
    pub fn gather_messages(&self) {
        let mut now = self.change();
        if matches!(now.messages, MessageState::Unknown) {
            now.messages = MessageState::Gathering(Vec::new());
        }
    }

    /// `newest`: the newest first, as they are at the version at which gathering began, or later. `more`: there are older ones.
    pub fn begin_messages(&self, newest: Vec<Message>, more: bool) {
        let mut now = self.change();
        if let MessageState::Gathering(events) = &now.messages {
            let mut known = MessagesOfRoom::new(newest, more);
            events.iter().for_each(|(envelope, event)| known.apply(envelope, event));
            now.messages = MessageState::Known(known);
            self.bytes.store(now.bytes(), Ordering::Relaxed);
        }
    }

    /// A page of messages, whether there are more, and the position of the room's last event; `None`: they are not here, or not
    /// all of them.
    pub fn messages(
        &self,
        reader: MessageReader<'_>,
        newest_first: bool,
        page: PageRequest<'_>,
    ) -> Result<Option<(ListPart<SharedMessage>, Position)>, ReadError> {
        let behind = read_cursor(newest_first, page.cursor)?;
        let now = self.now();
        let MessageState::Known(known) = &now.messages else { return Ok(None) };
        Ok(known.page(reader, newest_first, behind, page.limit).map(|page| (page, now.room.position)))
    }
}
