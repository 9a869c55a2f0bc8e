//! Searches archived events, through the log like any other reader of old events. Events that are still in the database are
//! searched in both places.

use tokio_util::sync::CancellationToken;

use super::search::TextSearch;
use crate::cli::progress::WorkProgress;
use crate::events::log::{EventLog, LogError};

/// Events read at a time.
const PAGE: usize = 2_000;

/// `false`: told to stop.
pub async fn search(log: &EventLog, search: &mut TextSearch, stop: &CancellationToken) -> anyhow::Result<bool> {
    let end = log.archived_through().await?;
    let mut hunt = search.enter("archives", "events");
    if end == 0 {
        return Ok(true);
    }
    let mut progress = WorkProgress::new("archives", "events", Some(end));
    let mut after = 0;
    while after < end {
        if stop.is_cancelled() {
            return Ok(false);
        }
        let limit = usize::try_from(end - after).unwrap_or(PAGE).min(PAGE);
        let events = log.read(after, limit).await?;
        let Some(last) = events.last() else {
            return Err(LogError::Damaged(format!("no event at position {}", after + 1)).into());
        };
        after = last.position;
        for event in &events {
            hunt.count();
            let at = || format!("position {}", event.position);
            hunt.look(event.data.get().as_bytes(), || format!("{}, data", at()));
            hunt.look(event.actor.to_string().as_bytes(), || format!("{}, actor", at()));
            if let Some(sealed) = &event.sealed {
                hunt.look(&sealed.0, || format!("{}, sealed", at()));
            }
            if let Some(traceparent) = &event.traceparent {
                hunt.look(traceparent.as_bytes(), || format!("{}, traceparent", at()));
            }
        }
        progress.set(after);
    }
    progress.finish();
    Ok(true)
}
