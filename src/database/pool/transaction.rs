//! Transactions on pooled connections. A connection with an open transaction never returns to the pool.
//!
//! The driver knows that it is in a transaction only after the server has answered `BEGIN`. A caller that is cancelled before
//! that (a disconnected client, a time-out), or a `BEGIN` that fails half-way, would return the connection inside an unknown
//! transaction: the next user's writes would not be committed, and its reads would run as another tenant. This module closes such
//! a connection.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Postgres};
use tokio::runtime::Handle;

/// Rolled back where it is dropped before its end.
#[derive(Debug)]
pub struct Transaction {
    /// `None`: it has ended.
    connection: Option<PoolConnection<Postgres>>,
    /// Whether the server is known to be inside the transaction, and at no end of it.
    open: bool,
}

impl Transaction {
    /// By statements that begin it, sent together.
    pub(super) async fn begin(connection: PoolConnection<Postgres>, statements: String) -> sqlx::Result<Self> {
        let mut begun = Self { connection: Some(connection), open: false };
        begun.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await?;
        begun.open = true;
        Ok(begun)
    }

    pub async fn commit(self) -> sqlx::Result<()> {
        self.end("COMMIT").await
    }

    pub async fn rollback(self) -> sqlx::Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &'static str) -> sqlx::Result<()> {
        self.open = false;
        self.execute(sqlx::raw_sql(how)).await?;
        // Back to the pool.
        self.connection = None;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("only its end takes the connection, and that takes the transaction too")
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("only its end takes the connection, and that takes the transaction too")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        match Handle::try_current() {
            Ok(runtime) if self.open => drop(runtime.spawn(async move {
                if connection.execute(sqlx::raw_sql("ROLLBACK")).await.is_err() {
                    connection.close_on_drop();
                }
            })),
            _ => connection.close_on_drop(),
        }
    }
}
