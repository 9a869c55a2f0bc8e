//! The copying itself: what is there goes, a transaction at a time, while the next page is read.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::personal::Personal;
use super::progress::Progress;
use super::publisher::Publisher;
use super::standing::{Standing, State};
use super::{Halt, SILENCE};
use crate::config::FaultPoint;
use crate::database::lease::Lease;
use crate::database::silence::heard;
use crate::events::envelope::Envelope;
use crate::events::feed::Window;
use crate::events::log::{EventLog, LogError};
use crate::events::topic::record::{PersonalPart, Record};
use crate::ids::Position;
use crate::resilience::fault::Faults;
use crate::telemetry::metrics::Metrics;

/// How often a relay with nothing to copy looks whether its epoch is still the log's.
const CHECK: Duration = Duration::from_secs(1);

/// A session that has found its place.
pub struct Copy<'a> {
    pub log: &'a EventLog,
    /// The newest events in memory, if this process follows the log itself.
    pub window: Option<&'a Window>,
    pub lease: Lease,
    pub publisher: Arc<Publisher>,
    pub personal: Arc<Personal>,
    pub progress: Progress,
    pub epoch: Uuid,
    /// Most events in one transaction.
    pub batch: usize,
    pub standing: &'a Standing,
    pub metrics: &'a Metrics,
    pub faults: &'a Faults,
}

impl Copy<'_> {
    /// Copies until it cannot.
    pub async fn run(mut self) -> Halt {
        self.standing.set(State::Copying);
        self.metrics.relaying(true);
        match self.copy().await {
            Ok(never) => match never {},
            Err(halt) => halt,
        }
    }

    async fn copy(&mut self) -> Result<std::convert::Infallible, Halt> {
        let mut grown = self.window.map_or_else(|| self.log.head_watch(), Window::grown);
        let mut page = self.read(self.progress.position).await?;
        let lease = self.lease.clone();
        let mut lost = std::pin::pin!(lease.keep());
        loop {
            let Some(through) = page.last().map(|last| last.position) else {
                tokio::select! {
                    () = &mut lost => return Err(Halt::Replaced),
                    _ = grown.changed() => {}
                    () = tokio::time::sleep(CHECK) => heard(SILENCE, self.progress.check_epoch()).await?,
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
            heard(SILENCE, self.progress.move_to(through)).await?;
            self.metrics.relayed(events, began.elapsed());
            // Also where nobody has taken the lease meanwhile: `lost` has ended and cannot be asked again.
            if !held {
                return Err(Halt::Replaced);
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
        let events = heard(SILENCE, self.log.read(after, self.batch)).await?;
        Ok(events.into_iter().map(Arc::new).collect())
    }

    /// Begins the transaction of a page, on a thread that may block.
    async fn send(
        &self,
        page: Vec<Arc<Envelope>>,
    ) -> Result<tokio::task::JoinHandle<Result<(), super::PublishError>>, Halt> {
        let parts = self.personal.parts(&page).await?;
        let (publisher, lease, epoch) = (self.publisher.clone(), self.lease.clone(), self.epoch.to_string());
        Ok(tokio::task::spawn_blocking(move || {
            let record = |(event, part): (&Arc<Envelope>, &PersonalPart)| Record::of(event, &epoch, part);
            let records: Vec<Record> = page.iter().zip(&parts).map(record).collect();
            publisher.publish(records, || lease.holds())
        }))
    }
}
