//! Reads the end of the log once for all models of a process. Models that keep up need the same events at about the same time:
//! the first one reads and decodes them for the others.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::events::envelope::Envelope;
use crate::events::feed::EventWindow;
use crate::events::log::{EventLog, LogError};
use crate::ids::Position;
use crate::projections::checkpoint::ProjectionFault;
use crate::projections::decoded_event::DecodedEvent;

/// How many reads are kept for others.
const KEPT: usize = 4;

/// One read of the log.
struct DecodedRange {
    after: Position,
    entries: Vec<DecodedEvent>,
    /// The event after the last one in `entries`, where that cannot be read.
    fault: Option<ProjectionFault>,
}

impl DecodedRange {
    fn of<'a>(
        after: Position,
        envelopes: impl IntoIterator<Item = &'a Envelope>,
        mut fault: Option<ProjectionFault>,
    ) -> Self {
        let mut entries = Vec::new();
        for envelope in envelopes {
            match DecodedEvent::of(envelope) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    fault = Some(ProjectionFault { position: Some(error.position), error: error.to_string() });
                    break;
                }
            }
        }
        Self { after, entries, fault }
    }

    fn through(&self) -> Position {
        self.entries.last().map_or(self.after, |last| last.position)
    }

    /// Whether it tells what comes after a position.
    fn tells(&self, after: Position) -> bool {
        self.after <= after && (after < self.through() || (after == self.through() && self.fault.is_some()))
    }
}

/// Events after a position, up to a limit.
pub struct DecodedBatch {
    decoded: Arc<DecodedRange>,
    range: Range<usize>,
}

impl DecodedBatch {
    pub fn entries(&self) -> &[DecodedEvent] {
        &self.decoded.entries[self.range.clone()]
    }

    /// What comes right after the batch and cannot be read.
    pub fn fault(&self) -> Option<&ProjectionFault> {
        self.decoded.fault.as_ref().filter(|_| self.range.end == self.decoded.entries.len())
    }
}

pub struct SharedLogReader {
    log: EventLog,
    /// The newest events of the topic, where read models read from that; earlier events are read from the log.
    window: Option<EventWindow>,
    recent: Mutex<VecDeque<Arc<DecodedRange>>>,
}

impl SharedLogReader {
    pub fn new(log: EventLog, window: Option<EventWindow>) -> Self {
        Self { log, window, recent: Mutex::default() }
    }

    /// The last position that there is to read, as far as is known; changes when there is more.
    pub fn grown(&self) -> watch::Receiver<Position> {
        self.window.as_ref().map_or_else(|| self.log.head_watch(), EventWindow::grown)
    }

    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// Up to `limit` events after a position; none at the end of the log.
    pub async fn read(&self, after: Position, limit: usize) -> Result<DecodedBatch, LogError> {
        let mut recent = self.recent.lock().await;
        let decoded = match recent.iter().find(|decoded| decoded.tells(after)) {
            Some(decoded) => decoded.clone(),
            None => {
                let decoded = Arc::new(self.fetch(after, limit).await?);
                if !decoded.entries.is_empty() {
                    recent.truncate(KEPT - 1);
                    recent.push_front(decoded.clone());
                }
                decoded
            }
        };
        let start = decoded.entries.partition_point(|entry| entry.position <= after);
        let end = decoded.entries.len().min(start + limit);
        Ok(DecodedBatch { decoded, range: start..end })
    }

    async fn fetch(&self, after: Position, limit: usize) -> Result<DecodedRange, LogError> {
        if let Some(events) = self.window.as_ref().and_then(|window| window.read(after, limit)) {
            return Ok(DecodedRange::of(after, events.iter().map(|event| &**event), None));
        }
        let (envelopes, fault) = match self.log.read(after, limit).await {
            Ok(envelopes) => (envelopes, None),
            Err(LogError::BadRow { position, what }) => {
                let before = usize::try_from(position.saturating_sub(after + 1)).unwrap_or(limit).min(limit);
                let fault = ProjectionFault { position: Some(position), error: what };
                (self.log.read(after, before).await?, Some(fault))
            }
            Err(error) => return Err(error),
        };
        Ok(DecodedRange::of(after, &envelopes, fault))
    }
}
