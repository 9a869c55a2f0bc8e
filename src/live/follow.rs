//! Events from a cursor on: out of memory or the log for as long as they are history, then live, without a seam.
//!
//! The reader subscribes before it reads history, and drops of the live events those that it has read by then. What is
//! tracked is the number of the last event passed, shown or not: it is what a cursor holds.

use std::sync::Arc;

use futures_util::FutureExt;

use super::hub::{Subscription, SubscriptionItem};
use super::published::PublishedEvent;
use super::rooms::StateError;
use super::{Live, LiveError};
use crate::events::envelope::Envelope;
use crate::events::log::{EventLog, LogError};
use crate::ids::{RoomKey, TenantId};

/// Events read, or gathered from the subscription, at a time.
pub const PAGE: usize = 256;

/// Which events.
#[derive(Clone, Debug)]
pub enum EventScope {
    /// Numbered by room version.
    Room(RoomKey),
    /// All rooms of a tenant, numbered by position.
    Tenant(TenantId),
}

impl EventScope {
    pub fn tenant(&self) -> &TenantId {
        match self {
            EventScope::Room(key) => &key.tenant,
            EventScope::Tenant(tenant) => tenant,
        }
    }

    /// The number by which these events are followed.
    pub fn number(&self, envelope: &Envelope) -> u64 {
        match self {
            EventScope::Room(_) => envelope.room_version,
            EventScope::Tenant(_) => envelope.position,
        }
    }
}

/// Where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOrigin {
    /// What became of their texts later is not known yet.
    Log,
    /// They are marked when their texts are edited or deleted.
    Memory,
}

/// Events one behind the other.
pub struct EventRange {
    pub events: Vec<Arc<PublishedEvent>>,
    pub from: EventOrigin,
    /// All that is to be read up to this number has been read.
    pub through: u64,
    /// There were no more at that moment.
    pub ended: bool,
}

/// Reads up to `limit` events after a number, out of memory where the room is in use on this node.
pub async fn read(live: &Live, scope: &EventScope, after: u64, limit: usize) -> Result<EventRange, LiveError> {
    if let EventScope::Room(key) = scope
        && live.rooms.is_in_use(key)
        && let Some(range) = read_memory(live, key, after, limit).await?
    {
        return Ok(range);
    }
    Ok(read_log(live.log(), scope, after, limit).await?)
}

/// The same of a room, which comes into use by it; `None`: the events have to be read from the log.
async fn read_memory(live: &Live, key: &RoomKey, after: u64, limit: usize) -> Result<Option<EventRange>, StateError> {
    let current = live.rooms.current(key, None).await?;
    let found = live.rooms.events(key, &current, after, limit).await?;
    Ok(found.map(|(events, ended)| {
        let through = events.last().map_or(after, |last| last.envelope.room_version);
        EventRange { events, from: EventOrigin::Memory, through, ended }
    }))
}

/// Reads up to `limit` events after a number from the log, as the tenant.
pub async fn read_log(log: &EventLog, scope: &EventScope, after: u64, limit: usize) -> Result<EventRange, LogError> {
    let publish = |envelopes: Vec<Envelope>| -> Vec<_> {
        envelopes.into_iter().map(|envelope| PublishedEvent::new(Arc::new(envelope))).collect()
    };
    match scope {
        EventScope::Room(key) => {
            let events = publish(log.read_room_as_tenant(key, after, limit).await?);
            let through = events.last().map_or(after, |last| last.envelope.room_version);
            Ok(EventRange { ended: events.len() < limit, events, from: EventOrigin::Log, through })
        }
        EventScope::Tenant(tenant) => {
            let page = log.read_tenant(tenant, after, limit).await?;
            // A range without events of this tenant is not the end; one that makes no progress is.
            let ended = page.through == after;
            Ok(EventRange { events: publish(page.events), from: EventOrigin::Log, through: page.through, ended })
        }
    }
}

/// What comes next.
pub enum FollowStep {
    /// Shown or not, these were passed. May be empty: there was nothing for this reader up to [`EventFollower::after`].
    Events(Vec<Arc<PublishedEvent>>, EventOrigin),
    /// The reader was too slow and is cut off.
    Lagged,
    /// Nothing comes any more: the program stops.
    Closed,
}

/// A reader of events.
pub struct EventFollower {
    scope: EventScope,
    after: u64,
    subscription: Subscription,
    /// There may be history between `after` and what the subscription brings.
    behind: bool,
}

impl EventFollower {
    /// Follows what comes after a number.
    pub fn new(live: &Live, scope: EventScope, after: u64) -> Self {
        let subscription = match &scope {
            EventScope::Room(key) => live.hub.subscribe_room(key),
            EventScope::Tenant(tenant) => live.hub.subscribe_tenant(tenant),
        };
        Self { scope, after, subscription, behind: true }
    }

    /// The number of the last event passed.
    pub fn after(&self) -> u64 {
        self.after
    }

    /// Moves past what was only for others, where nothing waits: a reader who comes back need not search it.
    pub fn rest(&mut self) {
        if let (EventScope::Tenant(_), false, Some(through)) = (&self.scope, self.behind, self.subscription.through()) {
            self.after = self.after.max(through);
        }
    }

    pub fn scope(&self) -> &EventScope {
        &self.scope
    }

    /// Whether the next step may be dropped while it waits without work being lost.
    pub fn is_live(&self) -> bool {
        !self.behind
    }

    pub async fn next(&mut self, live: &Live) -> Result<FollowStep, LiveError> {
        loop {
            if self.behind {
                // In a box: a reader that waits for what comes live carries no room for it.
                return Box::pin(self.catch_up(live)).await;
            }
            let mut events = Vec::new();
            match self.subscription.next().await {
                SubscriptionItem::Event(event) => self.pass(event, &mut events),
                SubscriptionItem::Gap => self.behind = true,
                SubscriptionItem::Lagged => return Ok(FollowStep::Lagged),
                SubscriptionItem::Closed => return Ok(FollowStep::Closed),
            }
            // What came meanwhile is written in one go. How it ended is told by the next step.
            while !self.behind
                && events.len() < PAGE
                && let Some(next) = self.subscription.next().now_or_never()
            {
                match next {
                    SubscriptionItem::Event(event) => self.pass(event, &mut events),
                    SubscriptionItem::Gap => self.behind = true,
                    SubscriptionItem::Lagged | SubscriptionItem::Closed => break,
                }
            }
            if !events.is_empty() {
                return Ok(FollowStep::Events(events, EventOrigin::Memory));
            }
        }
    }

    async fn catch_up(&mut self, live: &Live) -> Result<FollowStep, LiveError> {
        // Whoever follows a room brings it into use: many who come at once read it together.
        let in_memory = match &self.scope {
            EventScope::Room(key) => read_memory(live, key, self.after, PAGE).await?,
            EventScope::Tenant(_) => None,
        };
        let range = match in_memory {
            Some(range) => range,
            None => read_log(live.log(), &self.scope, self.after, PAGE).await?,
        };
        self.after = range.through;
        self.behind = !range.ended;
        Ok(FollowStep::Events(range.events, range.from))
    }

    fn pass(&mut self, event: Arc<PublishedEvent>, events: &mut Vec<Arc<PublishedEvent>>) {
        let number = self.scope.number(&event.envelope);
        if number > self.after {
            self.after = number;
            events.push(event);
        }
    }
}

/// The number of the newest event there is.
pub async fn newest(live: &Live, scope: &EventScope) -> Result<u64, LiveError> {
    match scope {
        EventScope::Room(key) if live.rooms.is_in_use(key) => {
            Ok(live.rooms.current(key, None).await?.read(|room| room.version))
        }
        EventScope::Room(key) => Ok(live.log().room_head(key).await?.map_or(0, |head| head.version)),
        EventScope::Tenant(_) => Ok(live.log().head().await?.position),
    }
}
