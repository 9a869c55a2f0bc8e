//! Notifies readers that the log grew: at once in the process that appended, and in other processes by one notification per
//! batch. A notification carries no data and may be lost, which costs a delay: readers also query the head periodically.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{EventLog, LogError};
use crate::database::notifications::{Notice, Notifications, Subscription};
use crate::database::timeout::with_timeout;
use crate::ids::Position;

/// The append notifies on it (migration 0018); the payload is the position of the head.
const CHANNEL: &str = "convoke_log";

/// How long a lost notification may stay unnoticed.
const POLL: Duration = Duration::from_millis(500);

/// The head is one row: whoever is there answers sooner.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Feeds [`EventLog::head_watch`] with what other processes append.
pub struct HeadListener {
    log: EventLog,
    notifications: Subscription,
    failing: bool,
}

impl HeadListener {
    pub fn new(log: EventLog, notifications: &mut Notifications) -> Self {
        Self { log, notifications: notifications.subscribe(CHANNEL), failing: false }
    }

    /// Until told to stop. Rides out a lost database.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let error = tokio::select! {
                error = self.follow() => error,
                () = stop.cancelled() => return,
            };
            if !self.failing {
                tracing::warn!(%error, "reading the head of the log failed, retrying");
            }
            self.failing = true;
        }
    }

    /// Until the head cannot be read.
    async fn follow(&mut self) -> LogError {
        let mut behind = false;
        loop {
            let read = match tokio::time::timeout(POLL, self.notifications.next()).await {
                Ok(notice) => {
                    behind = false;
                    self.take(&notice).await
                }
                Err(_) => self.poll(&mut behind).await,
            };
            if let Err(error) = read {
                return error;
            }
        }
    }

    async fn take(&mut self, notice: &Notice) -> Result<(), LogError> {
        if let Notice::Payload(position) = notice
            && let Ok(position) = position.parse()
        {
            self.log.saw(position);
            return Ok(());
        }
        self.read_head().await.map(drop)
    }

    /// `behind`: the log grew and no notification came. One that is still on its way comes before the next poll; otherwise
    /// the connection is one that nobody talks on any more.
    async fn poll(&mut self, behind: &mut bool) -> Result<(), LogError> {
        let known = *self.log.head.borrow();
        let grew = self.read_head().await? > known;
        if *behind {
            self.notifications.report_overdue();
        }
        *behind = grew && !*behind;
        Ok(())
    }

    async fn read_head(&mut self) -> Result<Position, LogError> {
        let head = with_timeout(QUERY_TIMEOUT, self.log.head()).await?;
        self.failing = false;
        Ok(head.position)
    }
}

/// The same, until the database is lost, see [`Notifications::until_lost`].
pub async fn until_lost(log: &EventLog) -> LogError {
    let mut notifications = Notifications::new(log.pool());
    let mut listener = HeadListener::new(log.clone(), &mut notifications);
    tokio::select! {
        lost = notifications.until_lost() => lost.into(),
        lost = listener.follow() => lost,
    }
}
