//! The one connection of a process that listens (LISTEN), for all of its parts that react to other processes.
//!
//! Invariants:
//! - PostgreSQL does not repeat a notification, so every subscriber gets [`Notice::Missed`] after each new connection, once it
//!   listens. What the subscriber reads from the database after that notice is not older than the connection.
//! - No subscriber delays another. Each has a bounded queue, and one that is too slow gets [`Notice::Missed`] as well.
//!
//! The connection leads to the server itself: behind a pooler in transaction mode, LISTEN has no effect.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Executor as _, PgPool};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use super::pool::Pool;
use super::session;
use super::timeout::with_timeout;

/// Notices that a slow subscriber may leave unread. After a lost connection every cache starts empty as well, so a longer
/// queue would save little.
const QUEUE: usize = 256;

/// Between attempts to connect.
const RETRY: Duration = Duration::from_millis(250);

/// A connection that brings nothing for this long is tested: the database may be gone without notice.
const PROBE: Duration = Duration::from_secs(5);

/// LISTEN waits for no lock, so a server that is alive answers sooner.
const SILENCE: Duration = Duration::from_secs(10);

/// What a subscriber learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Notifications may be missing before this notice: the connection is new, or the subscriber was slow.
    Missed,
    /// The payload of a notification.
    Payload(String),
}

/// The task that listens. Its channels are subscribed to before it runs.
pub struct Notifications {
    options: PgConnectOptions,
    /// How long the pool waits for a connection; the listening connection waits as long.
    acquire_timeout: Duration,
    subscribers: Vec<Subscriber>,
    overdue: Arc<Notify>,
}

struct Subscriber {
    channel: &'static str,
    queue: broadcast::Sender<Notice>,
}

/// The notices of one channel.
pub struct Subscription {
    queue: broadcast::Receiver<Notice>,
    overdue: Arc<Notify>,
}

impl Notifications {
    /// Of the database of `pool`. The connection is not one of the pool's.
    pub fn new(pool: &Pool) -> Self {
        let sessions = pool.sessions();
        Self {
            options: PgConnectOptions::clone(&sessions.connect_options()),
            acquire_timeout: sessions.options().get_acquire_timeout(),
            subscribers: Vec::new(),
            overdue: Arc::default(),
        }
    }

    /// Sets the name of the connection in `pg_stat_activity`.
    pub fn set_application_name(&mut self, name: &str) {
        self.options = self.options.clone().application_name(name);
    }

    pub fn subscribe(&mut self, channel: &'static str) -> Subscription {
        let (sender, receiver) = broadcast::channel(QUEUE);
        self.subscribers.push(Subscriber { channel, queue: sender });
        Subscription { queue: receiver, overdue: self.overdue.clone() }
    }

    /// Listens until told to stop. Rides out a lost database. Without a subscriber it does not connect.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = self.keep_listening() => {}
            () = stop.cancelled() => {}
        }
    }

    /// Listens until the database is lost: it ends the connection itself, or no new connection is possible.
    pub async fn until_lost(self) -> sqlx::Error {
        loop {
            let lost = match self.connect().await {
                Ok(listener) => self.dispatch(listener).await,
                Err(lost) => return lost,
            };
            if matches!(lost, sqlx::Error::Database(_)) {
                return lost;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn keep_listening(&self) {
        if self.subscribers.is_empty() {
            return pending().await;
        }
        let mut failing = false;
        loop {
            let error = match self.connect().await {
                Ok(listener) => {
                    failing = false;
                    self.dispatch(listener).await
                }
                Err(error) => error,
            };
            if !failing {
                tracing::warn!(%error, "LISTEN for notifications of other processes failed, retrying");
            }
            failing = true;
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn connect(&self) -> sqlx::Result<PgListener> {
        let mut listener = with_timeout(SILENCE, PgListener::connect_with(&self.pool_of_one())).await?;
        // sqlx would reconnect silently, and the subscribers have to know.
        listener.eager_reconnect(false);
        with_timeout(SILENCE, self.listen(&mut listener)).await?;
        for subscriber in &self.subscribers {
            subscriber.send(Notice::Missed);
        }
        Ok(listener)
    }

    /// sqlx takes a listener's connection from a pool. Each connection has a pool of its own, because a connection that fell
    /// silent keeps its place in the pool until TCP gives up.
    fn pool_of_one(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(self.acquire_timeout)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(session::of_listener()))).await.map(drop)
                })
            })
            .connect_lazy_with(self.options.clone())
    }

    /// Repeated on the same connection it changes nothing, which makes it the probe as well.
    async fn listen(&self, listener: &mut PgListener) -> sqlx::Result<()> {
        let statements: Vec<_> =
            self.subscribers.iter().map(|subscriber| format!("LISTEN {}", subscriber.channel)).collect();
        listener.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statements.join("; ")))).await.map(drop)
    }

    /// Until the connection is lost; returns why.
    async fn dispatch(&self, mut listener: PgListener) -> sqlx::Error {
        loop {
            let received = tokio::select! {
                received = tokio::time::timeout(PROBE, listener.try_recv()) => received,
                () = self.overdue.notified() => return broken(io::ErrorKind::TimedOut, "a notification is overdue"),
            };
            match received {
                Ok(Ok(Some(notification))) => self.deliver(notification.channel(), notification.payload()),
                Ok(Ok(None)) => return broken(io::ErrorKind::ConnectionAborted, "the connection was lost"),
                Ok(Err(error)) => return error,
                Err(_) => {
                    if let Err(error) = with_timeout(SILENCE, self.listen(&mut listener)).await {
                        return error;
                    }
                }
            }
        }
    }

    fn deliver(&self, channel: &str, payload: &str) {
        for subscriber in self.subscribers.iter().filter(|subscriber| subscriber.channel == channel) {
            subscriber.send(Notice::Payload(payload.to_owned()));
        }
    }
}

impl Subscriber {
    fn send(&self, notice: Notice) {
        // An error means that the subscriber is gone: a part of the process that has stopped.
        let _ = self.queue.send(notice);
    }
}

impl Subscription {
    /// The first notice is [`Notice::Missed`], as soon as the process listens.
    pub async fn next(&mut self) -> Notice {
        match self.queue.recv().await {
            Ok(notice) => notice,
            Err(RecvError::Lagged(_)) => Notice::Missed,
            // The task ends with the process, which stops the subscriber too.
            Err(RecvError::Closed) => pending().await,
        }
    }

    /// Replaces the connection: the subscriber knows of a notification that has not come. Does nothing while the process
    /// connects.
    pub fn report_overdue(&self) {
        self.overdue.notify_waiters();
    }
}

fn broken(kind: io::ErrorKind, why: &'static str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(kind, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifications() -> Notifications {
        let nowhere = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1);
        Notifications::new(&PgPoolOptions::new().connect_lazy_with(nowhere).into())
    }

    fn payload(number: usize) -> Notice {
        Notice::Payload(number.to_string())
    }

    #[tokio::test]
    async fn a_notification_reaches_every_subscriber_of_its_channel_and_no_other() {
        let mut notifications = notifications();
        let (mut one, mut two) = (notifications.subscribe("rooms"), notifications.subscribe("rooms"));
        let mut other = notifications.subscribe("keys");
        notifications.deliver("rooms", "1");
        notifications.deliver("nobody's", "2");
        notifications.deliver("keys", "3");
        assert_eq!((one.next().await, two.next().await, other.next().await), (payload(1), payload(1), payload(3)));
    }

    #[tokio::test]
    async fn a_slow_subscriber_misses_the_oldest_is_told_so_and_costs_the_others_nothing() {
        let mut notifications = notifications();
        let (mut slow, mut quick) = (notifications.subscribe("rooms"), notifications.subscribe("rooms"));
        drop(notifications.subscribe("rooms"));
        for number in 0..QUEUE + 10 {
            notifications.deliver("rooms", &number.to_string());
            assert_eq!(quick.next().await, payload(number));
        }
        assert_eq!(slow.next().await, Notice::Missed);
        for number in 10..QUEUE + 10 {
            assert_eq!(slow.next().await, payload(number), "the newest are kept");
        }
    }

    #[tokio::test]
    async fn a_process_without_a_subscriber_stays_away_from_the_database_and_stops() {
        let stop = CancellationToken::new();
        let running = tokio::spawn(notifications().run(stop.clone()));
        tokio::task::yield_now().await;
        assert!(!running.is_finished());
        stop.cancel();
        running.await.unwrap();
    }

    #[tokio::test]
    async fn whoever_cannot_be_reached_is_lost() {
        let pool = PgPoolOptions::new().acquire_timeout(Duration::from_millis(50));
        let nowhere = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(1);
        let mut notifications = Notifications::new(&pool.connect_lazy_with(nowhere).into());
        let _rooms = notifications.subscribe("rooms");
        tokio::time::timeout(Duration::from_secs(10), notifications.until_lost()).await.expect("it gives up");
    }
}
