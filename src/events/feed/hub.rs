//! The live end of the log for many readers at once: one task follows a feed and hands each event to those who subscribed to
//! its room or its tenant.
//!
//! A reader subscribes first and then reads history up to [`Subscription::after`]: what comes through the subscription begins
//! right behind it, so there is no seam. A reader that does not keep up is cut off and told so ([`Next::Lagged`]); it comes
//! back with its cursor. Nobody is waited for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Source, away};
use crate::events::envelope::Envelope;
use crate::events::log::LogError;
use crate::ids::{Position, RoomKey, TenantId};

/// What a subscription brings.
#[derive(Clone, Debug)]
pub enum Next {
    Event(Arc<Envelope>),
    /// The reader was too slow and is cut off; what it missed is in the log.
    Lagged,
    /// The feed ended: the program stops.
    Closed,
}

/// What one reader gets. Dropping it ends it.
pub struct Subscription {
    /// Everything after this position comes through the subscription.
    pub after: Position,
    events: mpsc::Receiver<Arc<Envelope>>,
    lagged: Arc<AtomicBool>,
    ticket: Ticket,
}

impl Subscription {
    /// The next event, in position order. May be dropped while it waits without losing any.
    pub async fn next(&mut self) -> Next {
        match self.events.recv().await {
            Some(event) => Next::Event(event),
            None if self.lagged.load(Ordering::Acquire) => Next::Lagged,
            None => Next::Closed,
        }
    }

    /// Up to where the reader has had all there was for it, where nothing waits for it.
    pub fn through(&self) -> Option<Position> {
        // Events are handed out under this lock: none is on its way.
        let readers = self.ticket.hub.readers();
        (self.events.is_empty() && !self.lagged.load(Ordering::Acquire)).then_some(readers.position)
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Topic {
    Room(RoomKey),
    Tenant(TenantId),
}

struct Reader {
    number: u64,
    events: mpsc::Sender<Arc<Envelope>>,
    lagged: Arc<AtomicBool>,
}

impl Reader {
    /// Whether the reader keeps up.
    fn take(&self, event: &Arc<Envelope>) -> bool {
        match self.events.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lagged.store(true, Ordering::Release);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

#[derive(Default)]
struct Readers {
    /// What was handed out last; readers that come now begin behind it.
    position: Position,
    topics: HashMap<Topic, Vec<Reader>>,
    /// The feed no longer runs: nobody may wait for it.
    ended: bool,
}

impl Readers {
    fn hand(&mut self, topic: Topic, event: &Arc<Envelope>) {
        if let Entry::Occupied(mut readers) = self.topics.entry(topic) {
            readers.get_mut().retain(|reader| reader.take(event));
            if readers.get().is_empty() {
                readers.remove();
            }
        }
    }
}

struct Inner {
    source: Source,
    buffer: usize,
    numbers: AtomicU64,
    readers: Mutex<Readers>,
}

impl Inner {
    fn readers(&self) -> MutexGuard<'_, Readers> {
        // Nothing in here panics half-way: a poisoned lock guards whole data.
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the reader out again when its subscription is dropped.
struct Ticket {
    hub: Arc<Inner>,
    topic: Topic,
    number: u64,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut readers = self.hub.readers();
        if let Entry::Occupied(mut of_topic) = readers.topics.entry(self.topic.clone()) {
            of_topic.get_mut().retain(|reader| reader.number != self.number);
            if of_topic.get().is_empty() {
                of_topic.remove();
            }
        }
    }
}

/// The live end of the log. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

impl Hub {
    /// `buffer`: events that may wait for one reader before it is cut off. `head`: where the log ends; readers begin behind it, also
    /// those who come before the hub runs.
    pub fn new(source: Source, buffer: usize, head: Position) -> Self {
        let readers = Mutex::new(Readers { position: head, ..Readers::default() });
        Self(Arc::new(Inner { source, buffer: buffer.max(1), numbers: AtomicU64::new(0), readers }))
    }

    pub fn subscribe_room(&self, key: &RoomKey) -> Subscription {
        self.subscribe(Topic::Room(key.clone()))
    }

    /// All rooms of a tenant.
    pub fn subscribe_tenant(&self, tenant: &TenantId) -> Subscription {
        self.subscribe(Topic::Tenant(tenant.clone()))
    }

    fn subscribe(&self, topic: Topic) -> Subscription {
        let (sender, events) = mpsc::channel(self.0.buffer);
        let lagged = Arc::new(AtomicBool::new(false));
        let number = self.0.numbers.fetch_add(1, Ordering::Relaxed);
        let mut readers = self.0.readers();
        if !readers.ended {
            let reader = Reader { number, events: sender, lagged: lagged.clone() };
            readers.topics.entry(topic.clone()).or_default().push(reader);
        }
        let after = readers.position;
        drop(readers);
        Subscription { after, events, lagged, ticket: Ticket { hub: self.0.clone(), topic, number } }
    }

    /// Follows the feed until told to stop, or until it meets a row that cannot be read; then every subscription ends.
    pub async fn run(self, stop: CancellationToken) -> Result<(), LogError> {
        let followed = tokio::select! {
            followed = self.follow() => followed,
            () = stop.cancelled() => Ok(()),
        };
        let mut readers = self.0.readers();
        readers.ended = true;
        readers.topics.clear();
        followed
    }

    async fn follow(&self) -> Result<(), LogError> {
        let mut failing = false;
        let begins = self.0.readers().position;
        let mut feed = self.0.source.open(begins);
        loop {
            match feed.next().await {
                Ok(events) => {
                    failing = false;
                    self.hand_out(events);
                    // With nobody to hand it to, what is in the log need not be read.
                    feed.skip_to(self.skipped());
                }
                Err(error) => away(error, &mut failing).await?,
            }
        }
    }

    fn hand_out(&self, events: Vec<Arc<Envelope>>) {
        let mut readers = self.0.readers();
        for event in events {
            let key = RoomKey { tenant: event.tenant.clone(), room: event.room };
            readers.position = event.position;
            readers.hand(Topic::Tenant(key.tenant.clone()), &event);
            readers.hand(Topic::Room(key), &event);
        }
    }

    /// Where readers stand who come now.
    fn skipped(&self) -> Position {
        let mut readers = self.0.readers();
        let known = *self.0.source.its_log().head_watch().borrow();
        if readers.topics.is_empty() && known > readers.position {
            readers.position = known;
        }
        readers.position
    }
}
