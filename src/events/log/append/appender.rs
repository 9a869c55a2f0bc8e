//! The connection that appends: the same one each time. It has the statements planned and the tables at hand; lent in turns,
//! every connection of the pool would have to come to that, and to keep it.

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

/// A connection for one append. Kept for the next one if it is given [`Lent::back`]; given up otherwise.
pub enum Lent<'a> {
    Own(MutexGuard<'a, Option<Kept>>, PgConnection),
    Pooled(PoolConnection<Postgres>),
}

impl Appender {
    pub async fn lend(&self, pool: &Pool) -> sqlx::Result<Lent<'_>> {
        let Ok(mut kept) = self.0.try_lock() else { return Ok(Lent::Pooled(pool.acquire().await?)) };
        if let Some(Kept { mut connection, used }) = kept.take()
            && (used.elapsed() < RESTED || heard(TRIAL, connection.ping()).await.is_ok())
        {
            return Ok(Lent::Own(kept, connection));
        }
        let connection = pool.acquire().await?.detach();
        Ok(Lent::Own(kept, connection))
    }
}

impl Lent<'_> {
    /// After an append that did not fail.
    pub fn back(self) {
        if let Lent::Own(mut kept, connection) = self {
            *kept = Some(Kept { connection, used: Instant::now() });
        }
    }
}

impl Deref for Lent<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        match self {
            Lent::Own(_, connection) => connection,
            Lent::Pooled(connection) => connection,
        }
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        match self {
            Lent::Own(_, connection) => connection,
            Lent::Pooled(connection) => connection,
        }
    }
}
