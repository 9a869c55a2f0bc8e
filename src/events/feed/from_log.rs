//! The tail of the log as a feed.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::{EventFeed, PAGE, QUERY_TIMEOUT};
use crate::database::timeout::with_timeout;
use crate::events::envelope::Envelope;
use crate::events::log::{EventLog, LogError};
use crate::ids::Position;

pub struct LogFeed {
    log: EventLog,
    grown: watch::Receiver<Position>,
    /// Of the event given last.
    after: Position,
}

impl LogFeed {
    pub fn new(log: EventLog, after: Position) -> Self {
        Self { grown: log.head_watch(), log, after }
    }

    async fn more(&mut self) -> Result<Vec<Arc<Envelope>>, LogError> {
        loop {
            self.grown.mark_unchanged();
            let page = with_timeout(QUERY_TIMEOUT, self.log.read_shared(self.after, PAGE)).await?;
            if let Some(last) = page.last() {
                self.after = last.position;
                return Ok(page);
            }
            // Its sender lives in the log, which lives here.
            let _ = self.grown.changed().await;
        }
    }
}

impl EventFeed for LogFeed {
    fn next(&mut self) -> BoxFuture<'_, Result<Vec<Arc<Envelope>>, LogError>> {
        Box::pin(self.more())
    }

    fn skip_to(&mut self, position: Position) {
        self.after = self.after.max(position);
    }
}
