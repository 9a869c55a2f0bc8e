//! Pools of connections, each with the rights of its purpose.

mod statements;
mod transaction;

use std::time::Duration;

use log::LevelFilter;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

pub use self::statements::Pool;
pub use self::transaction::Transaction;
use super::session;
use crate::config::DatabaseConfig;

/// Migrations, partitions: one at a time, and one to spare.
const OWNER_CONNECTIONS: u32 = 2;
/// How long a server is given to hear that its connections end.
const GOODBYE: Duration = Duration::from_secs(2);
/// A connection that rested this long is tried before it is lent.
const RESTED: Duration = Duration::from_secs(1);

/// For what the running program writes, and reads to write: every connection has the role `convoke_system`, which reads all
/// tenants and may append, and can neither change the log nor the schema. Connects when first used.
pub fn system(options: PgConnectOptions, config: &DatabaseConfig) -> Pool {
    acting(options, config, config.pool_size).into()
}

/// With the same rights, for what is read to answer and to stream: many readers hold up no command.
pub fn reading(options: PgConnectOptions, config: &DatabaseConfig) -> Pool {
    acting(options, config, config.read_pool_size).into()
}

/// Both of them through a pooler in transaction mode; what needs a session has connections to the server itself.
pub fn pooled(pooler: &PgConnectOptions, server: PgConnectOptions, config: &DatabaseConfig) -> (Pool, Pool) {
    let sessions = acting(server, config, config.pool_size);
    let options =
        pooler.clone().statement_cache_capacity(0).log_slow_statements(LevelFilter::Warn, config.slow_statement);
    let prelude = session::of_transaction(config.statement_timeout);
    let through = |size| {
        let connections = tested(config).max_connections(size).connect_lazy_with(options.clone());
        Pool::through(connections, &prelude, sessions.clone())
    };
    (through(config.pool_size), through(config.read_pool_size))
}

fn acting(options: PgConnectOptions, config: &DatabaseConfig, size: u32) -> PgPool {
    // By statements: a server behind a pooler refuses what it does not know at the start of a connection.
    let prepare: std::sync::Arc<str> = session::of_pool(config.statement_timeout).into();
    tested(config)
        .max_connections(size)
        .after_connect(move |connection, _| {
            let prepare = prepare.clone();
            Box::pin(async move { connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(&*prepare))).await.map(drop) })
        })
        .connect_lazy_with(options.log_slow_statements(LevelFilter::Warn, config.slow_statement))
}

/// For migrations, with the rights of the database's owner. No time limit on statements. Appends nothing.
pub fn owner(options: PgConnectOptions, config: &DatabaseConfig) -> PgPool {
    let prepare: std::sync::Arc<str> = session::of_owner().into();
    tested(config)
        .max_connections(OWNER_CONNECTIONS)
        .after_connect(move |connection, _| {
            let prepare = prepare.clone();
            Box::pin(async move { connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(&*prepare))).await.map(drop) })
        })
        .connect_lazy_with(options)
}

/// Ends a pool's connections. A server that does not answer is not waited for: it finds out.
pub async fn close(pool: impl Into<Pool>) {
    let pool = pool.into();
    let both = async { tokio::join!(pool.connections().close(), pool.sessions().close()) };
    if tokio::time::timeout(GOODBYE, both).await.is_err() {
        tracing::warn!("the database did not confirm the end of its connections in time, abandoning them");
    }
}

fn tested(config: &DatabaseConfig) -> PgPoolOptions {
    PgPoolOptions::new()
        .acquire_timeout(config.acquire_timeout)
        // Logs each acquisition, from which telemetry::pool_waits measures the wait.
        .acquire_time_level(LevelFilter::Trace)
        // A test before every loan would be a round trip on every request.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for < RESTED {
                    return Ok(true);
                }
                Ok(connection.ping().await.is_ok())
            })
        })
}
