//! The connection for appends. It is always the same one, because it has the prepared plans and the catalogue entries of all
//! partitions; with a different connection each time, every connection of the pool would have to build and keep them.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, Postgres};
use tokio::sync::{Mutex, MutexGuard};

use crate::database::pool::Pool;
use crate::database::timeout::with_timeout;

/// A connection that rested this long is tried before it is used: the server may have gone and come back.
const RESTED: Duration = Duration::from_secs(1);

/// How long such a trial may take: a server that is there answers within a round trip.
const TRIAL: Duration = Duration::from_secs(2);

/// Keeps a connection for the next append, beside those of the pool. Appends at the same time get others from the pool.
#[derive(Default)]
pub struct Appender(Mutex<Option<IdleConnection>>);

pub struct IdleConnection {
    connection: PgConnection,
    used: Instant,
}

/// A connection for one append. Kept for the next one if it is given [`CheckedOut::check_in`]; else closed, since it
/// may be in the middle of something.
pub struct CheckedOut<'a> {
    /// Where the next append looks for it; `None`: it is the pool's.
    slot: Option<MutexGuard<'a, Option<IdleConnection>>>,
    connection: Option<AppendConnection>,
}

enum AppendConnection {
    Own(PgConnection),
    Pooled(PoolConnection<Postgres>),
}

impl Appender {
    pub async fn checkout(&self, pool: &Pool) -> sqlx::Result<CheckedOut<'_>> {
        let Ok(mut kept) = self.0.try_lock() else {
            let connection = AppendConnection::Pooled(pool.acquire().await?);
            return Ok(CheckedOut { slot: None, connection: Some(connection) });
        };
        if let Some(IdleConnection { mut connection, used }) = kept.take()
            && (used.elapsed() < RESTED || with_timeout(TRIAL, connection.ping()).await.is_ok())
        {
            return Ok(CheckedOut { slot: Some(kept), connection: Some(AppendConnection::Own(connection)) });
        }
        let own = pool.acquire().await?.detach();
        Ok(CheckedOut { slot: Some(kept), connection: Some(AppendConnection::Own(own)) })
    }
}

impl CheckedOut<'_> {
    /// After an append that did not fail.
    pub fn check_in(mut self) {
        let connection = self.connection.take();
        if let (Some(place), Some(AppendConnection::Own(connection))) = (&mut self.slot, connection) {
            **place = Some(IdleConnection { connection, used: Instant::now() });
        }
    }
}

impl Drop for CheckedOut<'_> {
    fn drop(&mut self) {
        if let Some(AppendConnection::Pooled(connection)) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

impl Deref for CheckedOut<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self.connection.as_ref().expect("only giving it back takes the connection") {
            AppendConnection::Own(connection) => connection,
            AppendConnection::Pooled(connection) => connection,
        }
    }
}

impl DerefMut for CheckedOut<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self.connection.as_mut().expect("only giving it back takes the connection") {
            AppendConnection::Own(connection) => connection,
            AppendConnection::Pooled(connection) => connection,
        }
    }
}
