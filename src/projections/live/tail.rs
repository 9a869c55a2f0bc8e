//! Reads the end of the log once for all models of a process. Models that keep up need the same events at about the same time:
//! the first one reads and decodes them for the others.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::events::envelope::Envelope;
use crate::events::feed::Window;
use crate::events::log::{EventLog, LogError};
use crate::ids::Position;
use crate::projections::checkpoint::Obstacle;
use crate::projections::entry::Entry;

/// How many reads are kept for others.
const KEPT: usize = 4;

/// One read of the log.
struct Stretch {
    after: Position,
    entries: Vec<Entry>,
    /// The event after the last one in `entries`, where that cannot be read.
    obstacle: Option<Obstacle>,
}

impl Stretch {
    fn of<'a>(
        after: Position,
        envelopes: impl IntoIterator<Item = &'a Envelope>,
        mut obstacle: Option<Obstacle>,
    ) -> Self {
        let mut entries = Vec::new();
        for envelope in envelopes {
            match Entry::of(envelope) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    obstacle = Some(Obstacle { position: Some(error.position), error: error.to_string() });
                    break;
                }
            }
        }
        Self { after, entries, obstacle }
    }

    fn through(&self) -> Position {
        self.entries.last().map_or(self.after, |last| last.position)
    }

    /// Whether it tells what comes after a position.
    fn tells(&self, after: Position) -> bool {
        self.after <= after && (after < self.through() || (after == self.through() && self.obstacle.is_some()))
    }
}

/// Events after a position, up to a limit.
pub struct Batch {
    stretch: Arc<Stretch>,
    range: Range<usize>,
}

impl Batch {
    pub fn entries(&self) -> &[Entry] {
        &self.stretch.entries[self.range.clone()]
    }

    /// What comes right after the batch and cannot be read.
    pub fn obstacle(&self) -> Option<&Obstacle> {
        self.stretch.obstacle.as_ref().filter(|_| self.range.end == self.stretch.entries.len())
    }
}

pub struct Tail {
    log: EventLog,
    /// The last stretch of the topic, where read models stand on that; what lies before it is read from the log.
    window: Option<Window>,
    recent: Mutex<VecDeque<Arc<Stretch>>>,
}

impl Tail {
    pub fn new(log: EventLog, window: Option<Window>) -> Self {
        Self { log, window, recent: Mutex::default() }
    }

    /// The last position that there is to read, as far as is known; changes when there is more.
    pub fn grown(&self) -> watch::Receiver<Position> {
        self.window.as_ref().map_or_else(|| self.log.head_watch(), Window::grown)
    }

    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// Up to `limit` events after a position; none at the end of the log.
    pub async fn read(&self, after: Position, limit: usize) -> Result<Batch, LogError> {
        let mut recent = self.recent.lock().await;
        let stretch = match recent.iter().find(|stretch| stretch.tells(after)) {
            Some(stretch) => stretch.clone(),
            None => {
                let stretch = Arc::new(self.fetch(after, limit).await?);
                if !stretch.entries.is_empty() {
                    recent.truncate(KEPT - 1);
                    recent.push_front(stretch.clone());
                }
                stretch
            }
        };
        let start = stretch.entries.partition_point(|entry| entry.position <= after);
        let end = stretch.entries.len().min(start + limit);
        Ok(Batch { stretch, range: start..end })
    }

    async fn fetch(&self, after: Position, limit: usize) -> Result<Stretch, LogError> {
        if let Some(events) = self.window.as_ref().and_then(|window| window.read(after, limit)) {
            return Ok(Stretch::of(after, events.iter().map(|event| &**event), None));
        }
        let (envelopes, obstacle) = match self.log.read(after, limit).await {
            Ok(envelopes) => (envelopes, None),
            Err(LogError::BadRow { position, what }) => {
                let before = usize::try_from(position.saturating_sub(after + 1)).unwrap_or(limit).min(limit);
                let obstacle = Obstacle { position: Some(position), error: what };
                (self.log.read(after, before).await?, Some(obstacle))
            }
            Err(error) => return Err(error),
        };
        Ok(Stretch::of(after, &envelopes, obstacle))
    }
}
