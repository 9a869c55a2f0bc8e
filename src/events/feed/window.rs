//! The last stretch of a feed, kept for readers who come back with a position: those who keep up read the same events at
//! about the same time, and the feed is followed once for all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Source, away};
use crate::database::silence::heard;
use crate::events::envelope::{Envelope, Position};
use crate::events::log::LogError;

/// Events that are kept.
const KEPT: usize = 20_000;

#[derive(Default)]
struct Kept {
    /// Everything up to here has left the window; what is behind it is in it.
    after: Position,
    events: VecDeque<Arc<Envelope>>,
}

/// Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Window {
    kept: Arc<Mutex<Option<Kept>>>,
    grown: Arc<watch::Sender<Position>>,
}

impl Default for Window {
    fn default() -> Self {
        Self { kept: Arc::default(), grown: Arc::new(watch::channel(0).0) }
    }
}

impl Window {
    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position of its last event; changes when it grows.
    pub fn grown(&self) -> watch::Receiver<Position> {
        self.grown.subscribe()
    }

    /// Up to `limit` events behind a position, none at its end; `None`: it does not reach back so far.
    pub fn read(&self, after: Position, limit: usize) -> Option<Vec<Arc<Envelope>>> {
        let kept = self.kept();
        let kept = kept.as_ref().filter(|kept| kept.after <= after)?;
        let from = kept.events.partition_point(|event| event.position <= after);
        Some(kept.events.iter().skip(from).take(limit).cloned().collect())
    }

    /// Follows a feed from the log's end of now until told to stop.
    pub async fn run(self, source: Source, stop: CancellationToken) -> Result<(), LogError> {
        tokio::select! {
            ended = self.follow(&source) => ended,
            () = stop.cancelled() => Ok(()),
        }
    }

    async fn follow(&self, source: &Source) -> Result<(), LogError> {
        let mut failing = false;
        let head = loop {
            match heard(super::SILENCE, source.its_log().head()).await {
                Ok(head) => break head.position,
                Err(error) => away(error, &mut failing).await?,
            }
        };
        *self.kept() = Some(Kept { after: head, events: VecDeque::new() });
        self.grown.send_replace(head);
        let mut feed = source.open(head);
        loop {
            match feed.next().await {
                Ok(events) => {
                    failing = false;
                    self.take(events);
                }
                Err(error) => away(error, &mut failing).await?,
            }
        }
    }

    fn take(&self, events: Vec<Envelope>) {
        let Some(last) = events.last().map(|last| last.position) else { return };
        if let Some(kept) = self.kept().as_mut() {
            kept.events.extend(events.into_iter().map(Arc::new));
            while kept.events.len() > KEPT {
                kept.after = kept.events.pop_front().map_or(kept.after, |first| first.position);
            }
        }
        self.grown.send_replace(last);
    }
}
