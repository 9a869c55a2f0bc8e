//! A pool whose statements may go through a pooler in transaction mode (PgBouncer). There, another server process may execute a
//! client's next statement, so neither settings nor prepared statements outlive a transaction.
//!
//! Through a pooler, each statement is a transaction of its own, and every transaction begins with all of its settings. Work that
//! needs a session (LISTEN, session locks) uses direct connections.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, future::BoxFuture, stream, stream::BoxStream};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr};

use super::Transaction;

/// The kind of transaction that a session of ours begins; a database may have another one for others.
const USUAL: &str = "ISOLATION LEVEL READ COMMITTED";

/// Cheap to clone; clones are one.
#[derive(Clone, Debug)]
pub struct Pool {
    connections: PgPool,
    through: Option<ThroughPooler>,
}

/// How it is where the connections lead to a pooler.
#[derive(Clone, Debug)]
struct ThroughPooler {
    /// What a transaction begins with: the role and the settings that a session has otherwise.
    prelude: Arc<str>,
    /// To the server itself.
    sessions: PgPool,
}

/// Of every connection that is no pooler's.
impl From<PgPool> for Pool {
    fn from(connections: PgPool) -> Self {
        Self { connections, through: None }
    }
}

impl Pool {
    /// Whose connections lead to a pooler. They have to be made without a cache of statements.
    pub(super) fn through(connections: PgPool, prelude: &str, sessions: PgPool) -> Self {
        // Statements are prepared under names that each client counts for itself: those of whoever had this server process before
        // are in the way.
        let prelude = format!("DEALLOCATE ALL; {prelude}").into();
        Self { connections, through: Some(ThroughPooler { prelude, sessions }) }
    }

    /// Those that statements go through.
    pub fn connections(&self) -> &PgPool {
        &self.connections
    }

    /// Connections that are sessions of the server: what is set, locked or listened to on one of them stays.
    pub fn sessions(&self) -> &PgPool {
        self.through.as_ref().map_or(&self.connections, |through| &through.sessions)
    }

    /// Whether a connection is a session.
    pub fn has_sessions(&self) -> bool {
        self.through.is_none()
    }

    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        self.begin_with("", "").await
    }

    /// A transaction of another kind than the usual one (`READ ONLY`, say), which says something first; all in one round trip.
    pub async fn begin_with(&self, kind: &str, first: &str) -> sqlx::Result<Transaction> {
        let connection = self.connections.acquire().await?;
        Transaction::begin(connection, self.beginning(kind, first)).await
    }

    /// What begins a transaction on any connection of this pool, in one message.
    pub fn beginning(&self, kind: &str, first: &str) -> String {
        let (kind, prelude) = match &self.through {
            Some(through) if kind.is_empty() => (USUAL, &*through.prelude),
            Some(through) => (kind, &*through.prelude),
            None => (kind, ""),
        };
        let mut beginning = format!("BEGIN {kind}");
        for said in [prelude, first].into_iter().filter(|said| !said.is_empty()) {
            beginning.push_str("; ");
            beginning.push_str(said);
        }
        beginning
    }

    /// A connection by itself. Through a pooler it is of use in transactions only that begin as
    /// [`Pool::beginning`] says.
    pub async fn acquire(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        self.connections.acquire().await
    }
}

/// One statement by itself.
impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.has_sessions() {
            return self.connections.fetch_many(query);
        }
        let all = async move {
            let mut transaction = self.begin().await?;
            let all: Vec<_> = transaction.fetch_many(query).try_collect().await?;
            // Nothing is given out before it is true.
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(stream::iter(all.into_iter().map(Ok)))
        };
        stream::once(all).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.has_sessions() {
            return self.connections.fetch_optional(query);
        }
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let found = transaction.fetch_optional(query).await?;
            transaction.commit().await?;
            Ok(found)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'p: 'e,
    {
        self.sessions().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        'p: 'e,
    {
        self.sessions().describe(sql)
    }
}
