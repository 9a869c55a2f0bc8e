//! PostgreSQL: a server of one's own or a private one, pools, migrations.

pub mod embedded;
pub mod migrate;
pub mod pool;
pub mod tenant;

use std::sync::Arc;

use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use embedded::{Embedded, EmbeddedError, Launch};

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    #[error("DATABASE_URL is not usable: {0}")]
    Url(sqlx::Error),
}

/// A PostgreSQL to connect to; with it, the private server if this process owns one. [`Database::stop`] ends that server.
#[derive(Clone, Debug)]
pub struct Database {
    options: PgConnectOptions,
    embedded: Option<Arc<Embedded>>,
}

impl Database {
    /// For the process that serves: without `DATABASE_URL` it must own the private server.
    pub async fn own(config: &Config) -> Result<Self, DatabaseError> {
        if let Some(external) = Self::external(config)? {
            return Ok(external);
        }
        let launch = Launch {
            data_dir: config.data_dir.clone(),
            postgres_bin: config.database.postgres_bin.clone(),
            program_folders: config.database.program_folders.clone(),
            settings: Vec::new(),
        };
        let embedded = Embedded::start(&launch).await?;
        Ok(Self { options: named(embedded.options().clone()), embedded: Some(Arc::new(embedded)) })
    }

    /// For a command beside it: uses the private server of a process that serves, or owns it for as long as the command runs.
    pub async fn open(config: &Config) -> Result<Self, DatabaseError> {
        match Self::own(config).await {
            Err(DatabaseError::Embedded(EmbeddedError::InUse { .. })) => {
                let options = embedded::join(&config.data_dir).await?;
                Ok(Self { options: named(options), embedded: None })
            }
            owned => owned,
        }
    }

    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// The private server, where this process owns one.
    pub fn embedded(&self) -> Option<&Embedded> {
        self.embedded.as_deref()
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

    fn external(config: &Config) -> Result<Option<Self>, DatabaseError> {
        let Some(url) = &config.database.url else { return Ok(None) };
        let options = url.reveal().parse::<PgConnectOptions>().map_err(DatabaseError::Url)?;
        Ok(Some(Self { options: named(options), embedded: None }))
    }
}

/// What `pg_stat_activity` shows.
fn named(options: PgConnectOptions) -> PgConnectOptions {
    options.application_name("convoke")
}
