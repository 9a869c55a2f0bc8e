//! Events from a cursor on: out of the log for as long as they are history, then live, without a seam.
//!
//! The reader subscribes before it reads history, and drops of the live events those that it has read by then. What is
//! tracked is the number of the last event passed, shown or not: it is what a cursor holds.

use std::sync::Arc;

use futures_util::FutureExt;

use crate::events::envelope::Envelope;
use crate::events::feed::{Hub, Next, Subscription};
use crate::events::log::{EventLog, LogError};
use crate::ids::{Position, RoomKey, RoomVersion, TenantId};

/// Events read from the log, or gathered from the feed, at a time.
pub const PAGE: usize = 256;

/// Which events.
#[derive(Clone, Debug)]
pub enum Whose {
    /// Numbered by room version.
    Room(RoomKey),
    /// All rooms of a tenant, numbered by position.
    Tenant(TenantId),
}

impl Whose {
    pub fn tenant(&self) -> &TenantId {
        match self {
            Whose::Room(key) => &key.tenant,
            Whose::Tenant(tenant) => tenant,
        }
    }

    /// The number by which these events are followed.
    pub fn number(&self, envelope: &Envelope) -> u64 {
        match self {
            Whose::Room(_) => envelope.room_version,
            Whose::Tenant(_) => envelope.position,
        }
    }
}

/// A stretch of events.
#[derive(Debug)]
pub struct Page {
    pub events: Vec<Arc<Envelope>>,
    /// All that is to be read up to this number has been read.
    pub through: u64,
    /// The log had no more at that moment.
    pub ended: bool,
}

/// Reads up to `limit` events after a number, as the tenant.
pub async fn read(log: &EventLog, whose: &Whose, after: u64, limit: usize) -> Result<Page, LogError> {
    match whose {
        Whose::Room(key) => {
            let events: Vec<_> = log.read_room_as_tenant(key, after, limit).await?.into_iter().map(Arc::new).collect();
            let through = events.last().map_or(after, |last| last.room_version);
            Ok(Page { ended: events.len() < limit, events, through })
        }
        Whose::Tenant(tenant) => {
            let page = log.read_tenant(tenant, after, limit).await?;
            let events = page.events.into_iter().map(Arc::new).collect();
            // A stretch without events of this tenant is not the end; one that does not move on is.
            Ok(Page { events, through: page.through, ended: page.through == after })
        }
    }
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Shown or not, these were passed. May be empty: there was nothing for this reader up to [`Follow::after`].
    Events(Vec<Arc<Envelope>>),
    /// The reader was too slow and is cut off.
    Lagged,
    /// The feed ended with the program.
    Closed,
}

/// A reader of events.
pub struct Follow {
    log: EventLog,
    whose: Whose,
    after: u64,
    live: Subscription,
    /// There may be history between `after` and what the subscription brings.
    behind: bool,
}

impl Follow {
    /// Follows what comes after a number.
    pub fn new(log: EventLog, hub: &Hub, whose: Whose, after: u64) -> Self {
        let live = match &whose {
            Whose::Room(key) => hub.subscribe_room(key),
            Whose::Tenant(tenant) => hub.subscribe_tenant(tenant),
        };
        Self { log, whose, after, live, behind: true }
    }

    /// The number of the last event passed.
    pub fn after(&self) -> u64 {
        self.after
    }

    /// Moves past what was only for others, where nothing waits: a reader who comes back need not search it.
    pub fn rest(&mut self) {
        if let (Whose::Tenant(_), false, Some(through)) = (&self.whose, self.behind, self.live.through()) {
            self.after = self.after.max(through);
        }
    }

    pub fn whose(&self) -> &Whose {
        &self.whose
    }

    /// Whether the next step may be dropped while it waits without work being lost.
    pub fn is_live(&self) -> bool {
        !self.behind
    }

    pub async fn next(&mut self) -> Result<Step, LogError> {
        if self.behind {
            let page = read(&self.log, &self.whose, self.after, PAGE).await?;
            self.after = page.through;
            self.behind = !page.ended;
            return Ok(Step::Events(page.events));
        }
        let mut events = Vec::new();
        loop {
            match self.live.next().await {
                Next::Event(event) => self.pass(event, &mut events),
                Next::Lagged => return Ok(Step::Lagged),
                Next::Closed => return Ok(Step::Closed),
            }
            // What came meanwhile is written in one go. How it ended is told by the next step.
            while events.len() < PAGE
                && let Some(Next::Event(event)) = self.live.next().now_or_never()
            {
                self.pass(event, &mut events);
            }
            if !events.is_empty() {
                return Ok(Step::Events(events));
            }
        }
    }

    fn pass(&mut self, event: Arc<Envelope>, events: &mut Vec<Arc<Envelope>>) {
        let number = self.whose.number(&event);
        if number > self.after {
            self.after = number;
            events.push(event);
        }
    }
}

/// The number of the newest event there is.
pub async fn newest(log: &EventLog, whose: &Whose) -> Result<u64, LogError> {
    match whose {
        Whose::Room(key) => Ok(log.room_head(key).await?.map_or(0, |head| head.version)) as Result<RoomVersion, _>,
        Whose::Tenant(_) => Ok(log.head().await?.position) as Result<Position, _>,
    }
}
