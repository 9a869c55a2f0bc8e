//! The newest events of the log, kept in memory: one reader in a process follows the log's end, and all others read
//! here.
//!
//! What holds:
//!
//! - [`EventWindow::read`] gives every event behind a position once, in position order, without a gap, for as long as
//!   the window reaches back so far.
//! - While [`EventWindow::is_current`], no event older than [`LOST`] is missing at its end: the log was asked, and had
//!   no more.
//! - After a restore, a new epoch, or an event that cannot be read, the window begins anew, in another *generation*.
//!   Whoever keeps what they made of events throws it away then.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{FeedSource, RETRY};
use crate::database::timeout::with_timeout;
use crate::events::envelope::Envelope;
use crate::events::log::{LogError, LogHead};
use crate::ids::Position;

/// Bytes of the events that are kept, about.
const KEPT: usize = 16 << 20;

/// What an event takes beside its data and its sealed part, about.
const ENVELOPE: usize = 500;

/// Between two looks at whether the log is still the one that is followed, and where it ends.
const LOOK: Duration = Duration::from_millis(500);

/// The log's end was not heard of for so long: what is kept may be old.
pub const LOST: Duration = Duration::from_secs(3);

#[derive(Default)]
struct WindowEvents {
    /// Everything up to here has left the window; what is behind it is in it.
    after: Position,
    events: VecDeque<Arc<Envelope>>,
    bytes: usize,
}

/// Where the window ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowEnd {
    /// How often the window began. 0: not yet.
    pub generation: u64,
    /// The log's epoch; nil: the window has not begun.
    pub epoch: Uuid,
    /// Where it began: what is behind it was in the window.
    pub begun: Position,
    /// Of its last event, or where it began.
    pub position: Position,
}

struct WindowInner {
    kept: Mutex<Option<WindowEvents>>,
    end: watch::Sender<WindowEnd>,
    /// The position of the end alone.
    grown: watch::Sender<Position>,
    born: Instant,
    /// When the window was known to reach the log's end, in milliseconds since `born`; 0: never.
    reached_end: AtomicU64,
}

/// Cheap to clone; clones are one.
#[derive(Clone)]
pub struct EventWindow(Arc<WindowInner>);

impl Default for EventWindow {
    fn default() -> Self {
        Self(Arc::new(WindowInner {
            kept: Mutex::default(),
            end: watch::channel(WindowEnd::default()).0,
            grown: watch::channel(0).0,
            born: Instant::now(),
            reached_end: AtomicU64::new(0),
        }))
    }
}

impl EventWindow {
    fn kept(&self) -> MutexGuard<'_, Option<WindowEvents>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position of its last event; changes when it grows.
    pub fn grown(&self) -> watch::Receiver<Position> {
        self.0.grown.subscribe()
    }

    /// Where it ends; changes when it grows and when it begins anew.
    pub fn end(&self) -> watch::Receiver<WindowEnd> {
        self.0.end.subscribe()
    }

    /// Whether it reaches to the end of the log, as of [`LOST`] ago.
    pub fn is_current(&self) -> bool {
        let reached_end = self.0.reached_end.load(Ordering::Acquire);
        reached_end > 0 && self.0.born.elapsed().saturating_sub(Duration::from_millis(reached_end)) < LOST
    }

    /// Up to `limit` events behind a position, none at its end; `None`: it does not reach back so far, or has not begun.
    pub fn read(&self, after: Position, limit: usize) -> Option<Vec<Arc<Envelope>>> {
        let kept = self.kept();
        let kept = kept.as_ref().filter(|kept| kept.after <= after)?;
        let from = kept.events.partition_point(|event| event.position <= after);
        Some(kept.events.iter().skip(from).take(limit).cloned().collect())
    }

    /// Follows a feed from the log's end of now until told to stop. Rides out a lost database.
    pub async fn run(self, source: FeedSource, stop: CancellationToken) {
        let mut failing = false;
        loop {
            let ended = tokio::select! {
                ended = self.follow(&source, &mut failing) => ended,
                () = stop.cancelled() => return,
            };
            self.0.reached_end.store(0, Ordering::Release);
            if let Err(error) = ended
                && !std::mem::replace(&mut failing, true)
            {
                tracing::warn!(%error, "the end of the log cannot be followed; trying on");
            }
            // Whoever reads on reads the log, and meets there what stands in the way.
            *self.kept() = None;
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Until the log is another than it was, or cannot be read.
    async fn follow(&self, source: &FeedSource, failing: &mut bool) -> Result<(), LogError> {
        let log = source.its_log();
        let LogHead { position: begun, epoch, .. } = with_timeout(super::QUERY_TIMEOUT, log.head()).await?;
        self.begin(begun, epoch);
        let mut feed = source.open(begun);
        let (mut after, mut ends) = (begun, begun);
        let mut asked = Instant::now();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                events = feed.next() => {
                    let events = events?;
                    after = events.last().map_or(after, |last| last.position);
                    self.take(events);
                }
                _ = look.tick() => {
                    let at = Instant::now();
                    let head = with_timeout(super::QUERY_TIMEOUT, log.head()).await?;
                    if head.epoch != epoch || head.position < after {
                        return Ok(());
                    }
                    (asked, ends) = (at, head.position);
                }
            }
            if after >= ends {
                self.reached_end(asked);
                *failing = false;
            }
        }
    }

    fn begin(&self, position: Position, epoch: Uuid) {
        *self.kept() = Some(WindowEvents { after: position, ..WindowEvents::default() });
        self.0
            .end
            .send_modify(|end| *end = WindowEnd { generation: end.generation + 1, epoch, begun: position, position });
        self.0.grown.send_replace(position);
    }

    fn reached_end(&self, at: Instant) {
        let millis = u64::try_from(at.saturating_duration_since(self.0.born).as_millis()).unwrap_or(u64::MAX);
        self.0.reached_end.store(millis.max(1), Ordering::Release);
    }

    fn take(&self, events: Vec<Arc<Envelope>>) {
        let Some(last) = events.last().map(|last| last.position) else { return };
        if let Some(kept) = self.kept().as_mut() {
            kept.bytes += events.iter().map(|event| bytes(event)).sum::<usize>();
            kept.events.extend(events);
            while kept.bytes > KEPT
                && let Some(first) = kept.events.pop_front()
            {
                kept.after = first.position;
                kept.bytes -= bytes(&first);
            }
        }
        self.0.end.send_modify(|end| end.position = last);
        self.0.grown.send_replace(last);
    }
}

fn bytes(event: &Envelope) -> usize {
    ENVELOPE + event.data.get().len() + event.sealed.as_ref().map_or(0, |sealed| sealed.0.len())
}
