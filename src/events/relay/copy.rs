//! The copying itself: what is there goes, a transaction at a time, while the next page is read.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::personal::PersonalPolicy;
use super::progress::RelayProgress;
use super::publisher::TopicPublisher;
use super::status::{RelayState, RelayStatus};
use super::{QUERY_TIMEOUT, RelayError};
use crate::config::FaultPoint;
use crate::database::lease::Lease;
use crate::database::timeout::with_timeout;
use crate::events::envelope::Envelope;
use crate::events::feed::EventWindow;
use crate::events::log::{EventLog, LogError};
use crate::events::topic::record::{PersonalPart, TopicRecord};
use crate::ids::Position;
use crate::resilience::fault_injection::FaultInjector;
use crate::telemetry::metrics::Metrics;

/// How often a relay with nothing to copy looks whether its epoch is still the log's.
const CHECK: Duration = Duration::from_secs(1);

/// A session that has found its place.
pub struct CopySession<'a> {
    pub log: &'a EventLog,
    /// The newest events in memory, if this process follows the log itself.
    pub window: Option<&'a EventWindow>,
    pub lease: Lease,
    pub publisher: Arc<TopicPublisher>,
    pub personal: Arc<PersonalPolicy>,
    pub progress: RelayProgress,
    pub epoch: Uuid,
    /// Most events in one transaction.
    pub batch: usize,
    pub status: &'a RelayStatus,
    pub metrics: &'a Metrics,
    pub faults: &'a FaultInjector,
}

impl CopySession<'_> {
    /// Copies until it cannot.
    pub async fn run(mut self) -> RelayError {
        self.status.set(RelayState::Copying);
        self.metrics.relaying(true);
        match self.copy().await {
            Ok(never) => match never {},
            Err(halt) => halt,
        }
    }

    async fn copy(&mut self) -> Result<std::convert::Infallible, RelayError> {
        let mut grown = self.window.map_or_else(|| self.log.head_watch(), EventWindow::grown);
        let mut page = self.read(self.progress.position).await?;
        let lease = self.lease.clone();
        let mut lost = std::pin::pin!(lease.keep());
        loop {
            let Some(through) = page.last().map(|last| last.position) else {
                tokio::select! {
                    () = &mut lost => return Err(RelayError::Replaced),
                    _ = grown.changed() => {}
                    () = tokio::time::sleep(CHECK) => with_timeout(QUERY_TIMEOUT, self.progress.check_epoch()).await?,
                }
                grown.mark_unchanged();
                page = self.read(self.progress.position).await?;
                continue;
            };
            let events = page.len();
            let began = Instant::now();
            let sending = self.send(page).await?;
            grown.mark_unchanged();
            let (sent, next, held) = {
                let mut both = std::pin::pin!(async { tokio::join!(sending, self.read(through)) });
                let ((sent, next), held) = tokio::select! {
                    both = &mut both => (both, true),
                    // What is on its way is waited for: Kafka has the last word on it.
                    () = &mut lost => (both.await, false),
                };
                (sent, next, held)
            };
            sent.expect("sending does not panic")?;
            self.faults.pass(FaultPoint::BeforeProgress);
            with_timeout(QUERY_TIMEOUT, self.progress.move_to(through)).await?;
            self.metrics.relayed(events, began.elapsed());
            // Also where nobody has taken the lease meanwhile: `lost` has ended and cannot be asked again.
            if !held {
                return Err(RelayError::Replaced);
            }
            page = next?;
        }
    }

    /// Out of memory, or else out of the log: what is older, and everything while the window does not follow the log.
    async fn read(&self, after: Position) -> Result<Vec<Arc<Envelope>>, LogError> {
        let window = self.window.filter(|window| window.is_current());
        if let Some(events) = window.and_then(|window| window.read(after, self.batch)) {
            return Ok(events);
        }
        let events = with_timeout(QUERY_TIMEOUT, self.log.read(after, self.batch)).await?;
        Ok(events.into_iter().map(Arc::new).collect())
    }

    /// Begins the transaction of a page, on a thread that may block.
    async fn send(
        &self,
        page: Vec<Arc<Envelope>>,
    ) -> Result<tokio::task::JoinHandle<Result<(), super::PublishError>>, RelayError> {
        let parts = self.personal.parts(&page).await?;
        let (publisher, lease, epoch) = (self.publisher.clone(), self.lease.clone(), self.epoch.to_string());
        Ok(tokio::task::spawn_blocking(move || {
            let record = |(event, part): (&Arc<Envelope>, &PersonalPart)| TopicRecord::of(event, &epoch, part);
            let records: Vec<TopicRecord> = page.iter().zip(&parts).map(record).collect();
            publisher.publish(records, || lease.holds())
        }))
    }
}
