//! The listening connection of a process, as one of several processes that are in this one.

use convoke::database::notifications::Notifications;
use convoke::events::log::EventLog;
use convoke::events::log::wake::HeadListener;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// Keeps a log up to date with the appends of other processes, until told to stop.
pub async fn follow_head(log: EventLog, stop: CancellationToken) {
    let mut notifications = Notifications::new(log.pool());
    let head = HeadListener::new(log, &mut notifications);
    tokio::join!(head.run(stop.clone()), notifications.run(stop));
}

/// The connections to this database that listen: their process ids at the server and their names, in order.
pub async fn listening(owner: &PgPool) -> Vec<(i32, String)> {
    sqlx::query_as(
        "SELECT pid, application_name FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE 'LISTEN%' AND pid <> pg_backend_pid()
         ORDER BY pid",
    )
    .fetch_all(owner)
    .await
    .unwrap()
}

/// As an administrator does it. Returns once the connection is gone.
pub async fn end_connection(owner: &PgPool, pid: i32) {
    let ended: bool =
        sqlx::query_scalar("SELECT pg_terminate_backend($1, 10000)").bind(pid).fetch_one(owner).await.unwrap();
    assert!(ended, "the connection of {pid} ends");
}
