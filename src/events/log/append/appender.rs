//! The connection for appends. It is always the same one, because it has the prepared plans and the catalogue entries of all
//! partitions; with a different connection each time, every connection of the pool would have to build and keep them.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, PgConnection, Postgres};
use tokio::sync::{Mutex, MutexGuard};

use crate::database::pool::Pool;
use crate::database::silence::heard;

/// A connection that rested this long is tried before it is used: the server may have gone and come back.
const RESTED: Duration = Duration::from_secs(1);

/// How long such a trial may take: a server that is there answers within a round trip.
const TRIAL: Duration = Duration::from_secs(2);

/// Keeps a connection for the next append, beside those of the pool. Appends at the same time get others from the pool.
#[derive(Default)]
pub struct Appender(Mutex<Option<Kept>>);

pub struct Kept {
    connection: PgConnection,
    used: Instant,
}

/// A connection for one append. Kept for the next one if it is given [`Lent::back`]; else closed, since it may be in the middle of
/// something.
pub struct Lent<'a> {
    /// Where the next append looks for it; `None`: it is the pool's.
    place: Option<MutexGuard<'a, Option<Kept>>>,
    connection: Option<Connection>,
}

enum Connection {
    Own(PgConnection),
    Pooled(PoolConnection<Postgres>),
}

impl Appender {
    pub async fn lend(&self, pool: &Pool) -> sqlx::Result<Lent<'_>> {
        let Ok(mut kept) = self.0.try_lock() else {
            let connection = Connection::Pooled(pool.acquire().await?);
            return Ok(Lent { place: None, connection: Some(connection) });
        };
        if let Some(Kept { mut connection, used }) = kept.take()
            && (used.elapsed() < RESTED || heard(TRIAL, connection.ping()).await.is_ok())
        {
            return Ok(Lent { place: Some(kept), connection: Some(Connection::Own(connection)) });
        }
        let own = pool.acquire().await?.detach();
        Ok(Lent { place: Some(kept), connection: Some(Connection::Own(own)) })
    }
}

impl Lent<'_> {
    /// After an append that did not fail.
    pub fn back(mut self) {
        let connection = self.connection.take();
        if let (Some(place), Some(Connection::Own(connection))) = (&mut self.place, connection) {
            **place = Some(Kept { connection, used: Instant::now() });
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(Connection::Pooled(connection)) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

impl Deref for Lent<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self.connection.as_ref().expect("only giving it back takes the connection") {
            Connection::Own(connection) => connection,
            Connection::Pooled(connection) => connection,
        }
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self.connection.as_mut().expect("only giving it back takes the connection") {
            Connection::Own(connection) => connection,
            Connection::Pooled(connection) => connection,
        }
    }
}
