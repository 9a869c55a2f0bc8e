//! The Kafka topic as a feed.
//!
//! The topic keeps the order of each room, and of each partition; positions have no gaps, and so the order of the whole log is
//! put together again: what comes early waits until all before it has come. What does not come in time (a gap, Kafka away, a
//! topic whose oldest records have run out of their retention, personal fields that the topic leaves out) is read from the
//! log. Records of a history that the log has given up are passed over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rdkafka::ClientConfig;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{EventFeed, PAGE, QUERY_TIMEOUT};
use crate::database::timeout::with_timeout;
use crate::events::envelope::Envelope;
use crate::events::log::epochs::Epochs;
use crate::events::log::{EventLog, LogError};
use crate::events::topic::reader::{TopicArrival, TopicReader};
use crate::events::topic::record::ReadRecord;
use crate::ids::Position;
use crate::resilience::{Backoff, Delays};
use crate::telemetry::metrics::Metrics;

/// How long what the log has is waited for: while the place in the topic is looked for; then; while Kafka seems to be away.
const FIRST: Duration = Duration::from_secs(3);
const GRACE: Duration = Duration::from_millis(300);
const AWAY: Duration = Duration::from_millis(10);
/// So many positions behind what was given last, the topic is as good as there.
const NEAR: Position = PAGE as Position;
/// Between attempts to read the topic.
const RETRY: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

pub struct TopicFeed {
    log: EventLog,
    grown: watch::Receiver<Position>,
    client: ClientConfig,
    topic: String,
    epochs: Option<Epochs>,
    reader: Option<TopicReader>,
    waits: Delays,
    /// It has been told that the topic cannot be read.
    failing: bool,
    /// When to begin to read the topic again.
    again: Instant,
    /// Of the event given last.
    after: Position,
    /// What came early, by position; `None`: to be read from the log, which has more of it.
    early: BTreeMap<Position, Option<Envelope>>,
    /// How long what comes next is waited for.
    patience: Duration,
    /// Since when.
    waiting: Instant,
    metrics: Metrics,
}

/// What ended a wait.
enum WaitEnd {
    Arrival(Option<TopicArrival>),
    /// The log has what has not come.
    Overdue,
    Grown,
    /// It is time to read the topic again.
    Again,
}

impl TopicFeed {
    pub fn new(log: EventLog, client: ClientConfig, topic: String, after: Position, metrics: Metrics) -> Self {
        let now = Instant::now();
        Self {
            grown: log.head_watch(),
            log,
            client,
            topic,
            epochs: None,
            reader: None,
            waits: RETRY.delays(),
            failing: false,
            again: now,
            after,
            early: BTreeMap::new(),
            patience: FIRST,
            waiting: now,
            metrics,
        }
    }

    async fn more(&mut self) -> Result<Vec<Arc<Envelope>>, LogError> {
        if self.epochs.is_none() {
            // How far the log is has to be known once; from then on it tells by itself.
            with_timeout(QUERY_TIMEOUT, self.log.head()).await?;
            self.epochs = Some(with_timeout(QUERY_TIMEOUT, self.log.epochs()).await?);
        }
        loop {
            let ready = self.ready();
            if !ready.is_empty() {
                self.metrics.fed("topic", ready.len());
                return Ok(self.given(ready));
            }
            if self
                .early
                .first_key_value()
                .is_some_and(|(position, event)| *position == self.after + 1 && event.is_none())
            {
                return self.read_log(self.incomplete()).await;
            }
            match self.wait().await {
                WaitEnd::Arrival(Some(TopicArrival::Events(events))) => self.take(events).await?,
                WaitEnd::Arrival(Some(TopicArrival::Failed(error))) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(topic = self.topic, %error, "the topic cannot be read; going on from the log");
                    }
                    self.ended();
                }
                WaitEnd::Arrival(None) => self.ended(),
                WaitEnd::Overdue => {
                    let missing = self.early.keys().next().map_or(PAGE as u64, |first| first - self.after - 1);
                    let page = self.read_log(usize::try_from(missing).unwrap_or(PAGE).min(PAGE)).await?;
                    self.patience = AWAY;
                    if !page.is_empty() {
                        return Ok(page);
                    }
                }
                WaitEnd::Grown => {}
                WaitEnd::Again => {
                    self.reader = Some(TopicReader::start(self.client.clone(), self.topic.clone(), self.after));
                }
            }
        }
    }

    /// Loses nothing when it is dropped.
    async fn wait(&mut self) -> WaitEnd {
        let behind = *self.grown.borrow_and_update() > self.after;
        let (overdue, again, reading) = (self.waiting + self.patience, self.again, self.reader.is_some());
        let arrival = async {
            match &mut self.reader {
                Some(reader) => reader.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            arrival = arrival => WaitEnd::Arrival(arrival),
            () = tokio::time::sleep_until(overdue), if behind => WaitEnd::Overdue,
            _ = self.grown.changed(), if !behind => {
                // What was appended just now is on its way.
                self.waiting = Instant::now();
                WaitEnd::Grown
            }
            () = tokio::time::sleep_until(again), if !reading => WaitEnd::Again,
        }
    }

    fn ended(&mut self) {
        self.reader = None;
        self.patience = AWAY;
        self.again = Instant::now() + self.waits.next_delay();
    }

    async fn take(&mut self, events: Vec<ReadRecord>) -> Result<(), LogError> {
        self.waits.reset();
        self.failing = false;
        for read in events {
            let position = read.event.position;
            if position + NEAR >= self.after {
                // The topic keeps up (again): what it does not have yet is worth waiting for.
                self.patience = GRACE;
            }
            if position <= self.after || !self.is_held(&read).await? {
                continue;
            }
            self.early.insert(position, (!read.incomplete).then_some(read.event));
        }
        Ok(())
    }

    /// Whether the record is of the log as it is.
    async fn is_held(&mut self, read: &ReadRecord) -> Result<bool, LogError> {
        let holds = |epochs: &Option<Epochs>| {
            epochs.as_ref().is_some_and(|epochs| epochs.holds(read.epoch, read.event.position))
        };
        if holds(&self.epochs) {
            return Ok(true);
        }
        // An epoch may have begun meanwhile.
        if self.epochs.as_ref().is_some_and(|epochs| epochs.knows(read.epoch)) {
            return Ok(false);
        }
        self.epochs = Some(with_timeout(QUERY_TIMEOUT, self.log.epochs()).await?);
        Ok(holds(&self.epochs))
    }

    /// What comes next without a gap, as far as it has come.
    fn ready(&mut self) -> Vec<Arc<Envelope>> {
        let mut ready = Vec::new();
        let mut next = self.after + 1;
        while ready.len() < PAGE
            && let Some(first) = self.early.first_entry()
            && *first.key() == next
            && first.get().is_some()
        {
            ready.extend(first.remove().map(Arc::new));
            next += 1;
        }
        ready
    }

    /// How many events in a row are to be read from the log.
    fn incomplete(&self) -> usize {
        let in_row = (self.after + 1..).zip(&self.early);
        in_row.take(PAGE).take_while(|(next, (position, event))| next == *position && event.is_none()).count()
    }

    async fn read_log(&mut self, limit: usize) -> Result<Vec<Arc<Envelope>>, LogError> {
        let page = with_timeout(QUERY_TIMEOUT, self.log.read_shared(self.after, limit)).await?;
        self.metrics.fed("log", page.len());
        Ok(self.given(page))
    }

    fn given(&mut self, page: Vec<Arc<Envelope>>) -> Vec<Arc<Envelope>> {
        if let Some(last) = page.last() {
            self.passed(last.position);
        }
        page
    }

    fn passed(&mut self, position: Position) {
        self.after = self.after.max(position);
        self.early = self.early.split_off(&(self.after + 1));
        self.waiting = Instant::now();
        if let Some(reader) = &self.reader {
            reader.wants(self.after + 1);
        }
    }
}

impl EventFeed for TopicFeed {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, LogError>> {
        Box::pin(self.more())
    }

    fn skip_to(&mut self, position: Position) {
        if position > self.after {
            self.passed(position);
        }
    }
}
