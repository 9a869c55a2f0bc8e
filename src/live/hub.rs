//! The live end of the log for many readers at once: one task hands each event to those who subscribed to its room or its tenant.
//!
//! A reader subscribes first and then reads history: what is handed out after that comes through the subscription, so there is no
//! seam. A reader that does not keep up is cut off and told so ([`SubscriptionItem::Lagged`]); it comes back with its
//! cursor. Nobody is waited for. Where the log's end was lost for a while, all are told to read the log again
//! ([`SubscriptionItem::Gap`]).
//!
//! Subscriptions lie in shards by topic, so that those who come and go hold up others little; joining and leaving cost the same
//! however many readers a topic has.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::published::PublishedEvent;
use crate::ids::RoomKey;
use crate::ids::{Position, TenantId};

const SHARDS: usize = 64;

/// Ranges of events that may wait to be handed out; beyond that, readers read the log.
const WAITING: usize = 64;

/// What a subscription brings.
#[derive(Clone)]
pub enum SubscriptionItem {
    Event(Arc<PublishedEvent>),
    /// Events may be missing here: the log has them.
    Gap,
    /// The reader was too slow and is cut off; what it missed is in the log.
    Lagged,
    /// Nothing is handed out any more: the program stops.
    Closed,
}

enum Delivery {
    Event(Arc<PublishedEvent>),
    Gap,
}

/// What one reader gets. Dropping it ends it.
pub struct Subscription {
    deliveries: mpsc::Receiver<Delivery>,
    lagged: Arc<AtomicBool>,
    place: SubscriptionGuard,
}

impl Subscription {
    /// What comes next, events in position order. May be dropped while it waits without losing any.
    pub async fn next(&mut self) -> SubscriptionItem {
        match self.deliveries.recv().await {
            Some(Delivery::Event(event)) => SubscriptionItem::Event(event),
            Some(Delivery::Gap) => SubscriptionItem::Gap,
            None if self.lagged.load(Ordering::Acquire) => SubscriptionItem::Lagged,
            None => SubscriptionItem::Closed,
        }
    }

    /// Up to where the reader has had all there was for it, where nothing waits for it.
    pub fn through(&self) -> Option<Position> {
        // Events are handed out before the position moves on.
        let position = self.place.hub.position.load(Ordering::Acquire);
        (self.deliveries.is_empty() && !self.lagged.load(Ordering::Acquire)).then_some(position)
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum SubscriptionTopic {
    Room(RoomKey),
    Tenant(TenantId),
}

struct Subscriber {
    deliveries: mpsc::Sender<Delivery>,
    lagged: Arc<AtomicBool>,
}

impl Subscriber {
    /// Whether the reader keeps up.
    fn take(&self, delivery: Delivery) -> bool {
        match self.deliveries.try_send(delivery) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lagged.store(true, Ordering::Release);
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

type TopicShard = HashMap<SubscriptionTopic, HashMap<u64, Subscriber>>;

struct HubInner {
    /// Events that may wait for one reader before it is cut off.
    buffer: usize,
    hasher: RandomState,
    shards: Vec<Mutex<TopicShard>>,
    /// Numbers subscriptions.
    numbers: AtomicU64,
    /// Everything up to here was handed out.
    position: AtomicU64,
    /// Nothing is handed out any more: nobody may wait for it.
    ended: AtomicBool,
}

impl HubInner {
    fn shard(&self, topic: &SubscriptionTopic) -> MutexGuard<'_, TopicShard> {
        let hash = usize::try_from(self.hasher.hash_one(topic) % SHARDS as u64).unwrap_or_default();
        lock(&self.shards[hash])
    }

    fn hand(&self, topic: &SubscriptionTopic, event: &Arc<PublishedEvent>) {
        let mut shard = self.shard(topic);
        let Some(readers) = shard.get_mut(topic) else { return };
        readers.retain(|_, reader| reader.take(Delivery::Event(event.clone())));
        if readers.is_empty() {
            shard.remove(topic);
        }
    }
}

// What these locks guard is whole at every moment, also after a panic.
fn lock(shard: &Mutex<TopicShard>) -> MutexGuard<'_, TopicShard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends a subscription when it is dropped.
struct SubscriptionGuard {
    hub: Arc<HubInner>,
    topic: SubscriptionTopic,
    number: u64,
}

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        let mut shard = self.hub.shard(&self.topic);
        if let Some(readers) = shard.get_mut(&self.topic) {
            readers.remove(&self.number);
            if readers.is_empty() {
                shard.remove(&self.topic);
            }
        }
    }
}

/// The live end of the log. Cheap to clone.
#[derive(Clone)]
pub struct EventHub(Arc<HubInner>);

impl EventHub {
    /// `buffer`: events that may wait for one reader before it is cut off.
    pub fn new(buffer: usize) -> Self {
        Self(Arc::new(HubInner {
            buffer: buffer.max(1),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            numbers: AtomicU64::new(0),
            position: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        }))
    }

    pub fn subscribe_room(&self, key: &RoomKey) -> Subscription {
        self.subscribe(SubscriptionTopic::Room(key.clone()))
    }

    /// All rooms of a tenant.
    pub fn subscribe_tenant(&self, tenant: &TenantId) -> Subscription {
        self.subscribe(SubscriptionTopic::Tenant(tenant.clone()))
    }

    fn subscribe(&self, topic: SubscriptionTopic) -> Subscription {
        let (sender, deliveries) = mpsc::channel(self.0.buffer);
        let lagged = Arc::new(AtomicBool::new(false));
        let number = self.0.numbers.fetch_add(1, Ordering::Relaxed);
        {
            let mut shard = self.0.shard(&topic);
            // Under the lock of the shard, which the end takes as well: no reader is left waiting.
            if !self.0.ended.load(Ordering::Acquire) {
                let reader = Subscriber { deliveries: sender, lagged: lagged.clone() };
                shard.entry(topic.clone()).or_default().insert(number, reader);
            }
        }
        Subscription { deliveries, lagged, place: SubscriptionGuard { hub: self.0.clone(), topic, number } }
    }

    /// Hands out what `ranges` bring until told to stop; then every subscription ends.
    pub async fn run(self, mut ranges: PublishedRanges, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                range = ranges.receiver.recv() => match range {
                    Some(range) => self.take(range),
                    None => break,
                },
            }
        }
        self.0.ended.store(true, Ordering::Release);
        self.0.shards.iter().for_each(|shard| lock(shard).clear());
    }

    fn take(&self, range: PublishedRange) {
        if range.begins_anew {
            for shard in &self.0.shards {
                lock(shard).retain(|_, readers| {
                    readers.retain(|_, reader| reader.take(Delivery::Gap));
                    !readers.is_empty()
                });
            }
        }
        for event in range.events {
            let envelope = &event.envelope;
            self.0.hand(&SubscriptionTopic::Tenant(envelope.tenant.clone()), &event);
            self.0.hand(
                &SubscriptionTopic::Room(RoomKey { tenant: envelope.tenant.clone(), room: envelope.room }),
                &event,
            );
        }
        self.0.position.store(range.through, Ordering::Release);
    }
}

/// Events of the log, one behind the other.
struct PublishedRange {
    /// Events may be missing before these.
    begins_anew: bool,
    events: Vec<Arc<PublishedEvent>>,
    through: Position,
}

/// What is to be handed out.
pub struct PublishedRanges {
    receiver: mpsc::Receiver<PublishedRange>,
}

/// Where events come in. What finds no room is left out, and readers are told that there is a gap.
pub struct HubPublisher {
    sender: mpsc::Sender<PublishedRange>,
    /// Something was left out before this position.
    left_out: Option<Position>,
}

/// A publisher, and what [`EventHub::run`] hands out.
pub fn publisher() -> (HubPublisher, PublishedRanges) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (HubPublisher { sender, left_out: None }, PublishedRanges { receiver })
}

impl HubPublisher {
    /// All events behind those given last, up to a position. Does not wait.
    pub fn publish(&mut self, events: Vec<Arc<PublishedEvent>>, through: Position) {
        let range = PublishedRange { begins_anew: self.left_out.is_some(), events, through };
        self.left_out = self.sender.try_send(range).is_err().then_some(through);
    }

    /// Events up to a position were not seen here.
    pub fn begin_anew(&mut self, position: Position) {
        self.left_out = Some(position);
        self.publish(Vec::new(), position);
    }

    /// Waits, where something was left out, until readers can be told.
    pub async fn tell_of_gap(&mut self) {
        if let Some(through) = self.left_out
            && let Ok(place) = self.sender.reserve().await
        {
            place.send(PublishedRange { begins_anew: true, events: Vec::new(), through });
            self.left_out = None;
            return;
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;
    use crate::events::envelope::Envelope;
    use crate::ids::RoomId;
    use crate::live::event_view::tests::envelope;

    fn key(room: u128) -> RoomKey {
        RoomKey { tenant: TenantId::new("acme").unwrap(), room: RoomId::from_uuid(Uuid::from_u128(room)) }
    }

    fn event(position: Position, room: u128) -> Arc<PublishedEvent> {
        let key = key(room);
        let envelope = Envelope { position, room: key.room, tenant: key.tenant, ..envelope("room.locked", 1, "{}") };
        PublishedEvent::new(Arc::new(envelope))
    }

    fn hand_out(hub: &EventHub, events: Vec<Arc<PublishedEvent>>) {
        let through = events.last().unwrap().envelope.position;
        hub.take(PublishedRange { begins_anew: false, events, through });
    }

    fn next(subscription: &mut Subscription) -> Option<SubscriptionItem> {
        subscription.next().now_or_never()
    }

    fn positions(subscription: &mut Subscription) -> Vec<Position> {
        let event = |_| match next(subscription) {
            Some(SubscriptionItem::Event(event)) => Some(event.envelope.position),
            _ => None,
        };
        (0..1_000).map_while(event).collect()
    }

    fn readers(hub: &EventHub) -> usize {
        hub.0.shards.iter().flat_map(|shard| lock(shard).values().map(HashMap::len).collect::<Vec<_>>()).sum()
    }

    #[test]
    fn readers_get_the_events_of_their_room_or_tenant_and_know_how_far_they_are() {
        let hub = EventHub::new(8);
        let (mut one, mut all) = (hub.subscribe_room(&key(1)), hub.subscribe_tenant(&key(1).tenant));
        hand_out(&hub, vec![event(5, 1), event(6, 2), event(7, 1)]);
        assert_eq!(one.through(), None, "events wait");
        assert_eq!(positions(&mut one), [5, 7]);
        assert_eq!(one.through(), Some(7));
        assert_eq!(positions(&mut all), [5, 6, 7]);
    }

    #[test]
    fn who_does_not_keep_up_is_cut_off_alone_and_told_so() {
        let hub = EventHub::new(2);
        let (mut slow, mut quick) = (hub.subscribe_room(&key(1)), hub.subscribe_room(&key(1)));
        for position in 1..=4 {
            hand_out(&hub, vec![event(position, 1)]);
            assert_eq!(positions(&mut quick), [position]);
        }
        assert_eq!(slow.through(), None);
        assert_eq!(positions(&mut slow), [1, 2]);
        assert!(matches!(next(&mut slow), Some(SubscriptionItem::Lagged)));
        assert_eq!(readers(&hub), 1);
    }

    #[test]
    fn those_who_leave_are_gone_and_leave_no_topic_behind() {
        let hub = EventHub::new(2);
        let subscriptions: Vec<_> = (0..1_000).map(|number| hub.subscribe_room(&key(number % 10))).collect();
        assert_eq!(readers(&hub), 1_000);
        drop(subscriptions);
        assert!(hub.0.shards.iter().all(|shard| lock(shard).is_empty()));
    }

    #[tokio::test]
    async fn what_finds_no_room_is_told_of_as_a_gap() {
        let hub = EventHub::new(1_000);
        let mut reader = hub.subscribe_room(&key(1));
        let (mut publisher, ranges) = publisher();
        for position in 1..=(WAITING as u64 + 10) {
            publisher.publish(vec![event(position, 1)], position);
        }
        let stop = CancellationToken::new();
        let running = tokio::spawn(hub.clone().run(ranges, stop.clone()));
        for position in 1..=WAITING as u64 {
            assert!(
                matches!(reader.next().await, SubscriptionItem::Event(event) if event.envelope.position == position)
            );
        }
        publisher.tell_of_gap().await;
        assert!(matches!(reader.next().await, SubscriptionItem::Gap));
        publisher.publish(vec![event(1_000, 1)], 1_000);
        assert!(matches!(reader.next().await, SubscriptionItem::Event(event) if event.envelope.position == 1_000));
        stop.cancel();
        assert!(matches!(reader.next().await, SubscriptionItem::Closed));
        running.await.unwrap();
        assert!(
            matches!(hub.subscribe_room(&key(1)).next().await, SubscriptionItem::Closed),
            "nor does anybody wait who comes later"
        );
    }
}
