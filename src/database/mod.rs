//! PostgreSQL: a server of one's own or a private one, pools, migrations, notifications.

pub mod embedded;
pub mod lease;
pub mod migrate;
pub mod notifications;
pub mod pool;
pub mod requirements;
pub mod session;
pub mod tenant;
pub mod timeout;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::{Config, DatabaseConfig, DatabaseUrl};
use embedded::{Embedded, EmbeddedError, LaunchOptions};
use pool::Pool;

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("the URL of the database is not usable: {0}")]
    Url(sqlx::Error),
    #[error("the database at {place} cannot be reached: {cause}. Start it, or correct {setting}")]
    Unreachable { place: String, cause: String, setting: &'static str },
    #[error("the pooler at {place} cannot be used: {cause}. It has to pool transactions (pool_mode = transaction)")]
    Pooler { place: String, cause: String },
    #[error("the pooler at {place} leads to another database than DATABASE_URL does; correct one of them")]
    AnotherBehindPooler { place: String },
}

/// How long a command waits for the private server of another process, or for its folder.
const JOIN_PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(25);

/// Which log of which server: a copy of either is another one.
const WHICH: &str = "SELECT h.epoch, pg_postmaster_start_time() FROM convoke.log_head h";

/// A PostgreSQL to connect to; with it, the private server if this process owns one. [`Database::stop`] ends that server.
#[derive(Clone, Debug)]
pub struct Database {
    options: PgConnectOptions,
    embedded: Option<Arc<Embedded>>,
}

impl Database {
    /// For the process that serves: without `DATABASE_URL` it must own the private server.
    pub async fn own(config: &Config) -> Result<Self, DatabaseError> {
        if let Some(external) = Self::external(&config.database).await? {
            return Ok(external);
        }
        let launch = LaunchOptions {
            data_dir: config.data_dir.clone(),
            postgres_bin: config.database.postgres_bin.clone(),
            program_folders: config.database.program_folders.clone(),
            settings: Vec::new(),
        };
        let embedded = Embedded::start(&launch).await?;
        Ok(Self { options: named(embedded.options().clone()), embedded: Some(Arc::new(embedded)) })
    }

    /// For a command beside it: uses the private server of a process that serves, or owns it for as long as the command runs. A process
    /// that is starting or stopping has the folder and no server that answers: its server is waited for, and so is the folder.
    pub async fn open(config: &Config) -> Result<Self, DatabaseError> {
        let deadline = Instant::now() + JOIN_PATIENCE;
        loop {
            match Self::own(config).await {
                Err(DatabaseError::Embedded(EmbeddedError::InUse { .. })) => {}
                owned => return owned,
            }
            match embedded::join(&config.data_dir).await {
                Ok(options) => return Ok(Self { options: named(options), embedded: None }),
                Err(EmbeddedError::NotReady { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(BETWEEN_ATTEMPTS).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The private server, where this process owns one.
    pub fn embedded(&self) -> Option<&Embedded> {
        self.embedded.as_deref()
    }

    /// For what a server writes, and for what it reads to answer: through a pooler where there is one.
    pub async fn pools(&self, config: &DatabaseConfig) -> Result<(Pool, Pool), DatabaseError> {
        let Some(url) = &config.pooler_url else {
            return Ok((pool::system(self.options(), config), pool::reading(self.options(), config)));
        };
        // Only what a pooler knows may be set at the start of a connection, and floats come in binary form.
        let pooler = at(url)?.extra_float_digits(None);
        reach(&pooler, config.acquire_timeout, "DATABASE_POOLER_URL").await?;
        let pools = pool::pooled(&pooler, self.options(), config);
        let unusable = |error: sqlx::Error| DatabaseError::Pooler { place: place(&pooler), cause: error.to_string() };
        let asked = || sqlx::query_as::<_, (Uuid, DateTime<Utc>)>(WHICH);
        let through = asked().fetch_one(&pools.0).await.map_err(unusable)?;
        let direct = asked().fetch_one(pools.0.sessions()).await.map_err(unusable)?;
        if through == direct { Ok(pools) } else { Err(DatabaseError::AnotherBehindPooler { place: place(&pooler) }) }
    }

    /// Keeps the private server running until told to stop; returns at the stop where there is none.
    pub async fn keep_running(self, stop: CancellationToken) -> Result<(), EmbeddedError> {
        match &self.embedded {
            Some(embedded) => embedded.keep_running(&stop).await,
            None => {
                stop.cancelled().await;
                Ok(())
            }
        }
    }

    /// Stops the private server. Connections to it are cut; what was committed is kept.
    pub async fn stop(self) {
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }

    async fn external(config: &DatabaseConfig) -> Result<Option<Self>, DatabaseError> {
        let Some(url) = &config.url else { return Ok(None) };
        let options = at(url)?;
        reach(&options, config.acquire_timeout, "DATABASE_URL").await?;
        Ok(Some(Self { options, embedded: None }))
    }
}

/// The server that a URL names; not asked.
pub fn at(url: &DatabaseUrl) -> Result<PgConnectOptions, DatabaseError> {
    Ok(named(url.reveal().parse::<PgConnectOptions>().map_err(DatabaseError::Url)?))
}

/// Whether it lets us in. A pool would try on for as long as it may, and then say no more than that.
async fn reach(options: &PgConnectOptions, patience: Duration, setting: &'static str) -> Result<(), DatabaseError> {
    let cause = match tokio::time::timeout(patience, options.connect()).await {
        Ok(Ok(connection)) => {
            // It has answered: that its closing failed would show at the next connection.
            let _ = connection.close().await;
            return Ok(());
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("there was no answer within {patience:?}"),
    };
    Err(DatabaseError::Unreachable { place: place(options), cause, setting })
}

/// Where it is and as whom we come, without the password.
fn place(options: &PgConnectOptions) -> String {
    let at = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    format!("{at} (user {}, database {})", options.get_username(), options.get_database().unwrap_or("of that name"))
}

/// What `pg_stat_activity` shows.
fn named(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("convoke")
}
