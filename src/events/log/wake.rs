//! Notifies readers that the log grew: at once in the process that appended, and in other processes by one notification per
//! batch. A notification carries no data and may be lost, which costs a delay: readers also query the head periodically.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio_util::sync::CancellationToken;

use super::EventLog;
use crate::database::silence::heard;

/// How long a lost notification may stay unnoticed.
const POLL: Duration = Duration::from_millis(500);

/// The head is one row: whoever is there answers sooner.
const SILENCE: Duration = Duration::from_secs(10);

/// Between attempts to listen again after the database went away.
const RETRY: Duration = Duration::from_millis(250);

/// Feeds [`EventLog::head_watch`] with what other processes append, until told to stop. Rides out a lost database.
pub async fn run(log: EventLog, stop: CancellationToken) {
    let mut failing = false;
    loop {
        let heard = tokio::select! {
            heard = listen(&log, &mut failing) => heard,
            () = stop.cancelled() => return,
        };
        if let Err(error) = heard {
            if !failing {
                tracing::warn!(%error, "LISTEN for appends of other processes failed, retrying");
            }
            failing = true;
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// The same, until the database is lost: nobody can be reached to listen to, within the time that the pool waits for a connection.
pub async fn until_lost(log: &EventLog) -> super::LogError {
    loop {
        if let Err(lost) = listen(log, &mut false).await {
            return lost;
        }
    }
}

async fn listen(log: &EventLog, failing: &mut bool) -> Result<(), super::LogError> {
    let mut listener = heard(SILENCE, PgListener::connect_with(log.pool.sessions())).await?;
    heard(SILENCE, listener.listen("convoke_log")).await?;
    heard(SILENCE, log.head()).await?;
    *failing = false;
    loop {
        match tokio::time::timeout(POLL, listener.recv()).await {
            Ok(Ok(notification)) => match notification.payload().parse() {
                Ok(position) => log.saw(position),
                Err(_) => _ = heard(SILENCE, log.head()).await?,
            },
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {
                let known = *log.head.borrow();
                // What was appended and not told of: the connection may be one that nobody talks on any more.
                if heard(SILENCE, log.head()).await?.position > known {
                    return Ok(());
                }
            }
        }
    }
}
