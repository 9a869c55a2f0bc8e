//! What a command gets from the program: when to stop, the configuration, the database.

use std::cell::OnceCell;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::database::pool::{self, Pool};
use crate::database::{Database, migrate};
use crate::events::archive::ArchiveReader;
use crate::events::log::EventLog;

pub struct CliContext {
    /// Cancelled by Ctrl-C and SIGTERM: a command then leaves things whole and returns.
    pub stop: CancellationToken,
    config: OnceCell<Config>,
}

impl CliContext {
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, config: OnceCell::new() }
    }

    /// The configuration, with keys made where development lacks them.
    pub fn config(&self) -> anyhow::Result<&Config> {
        self.config_over(&[])
    }

    /// The same, with settings that the command line gives over the environment; for the first to ask.
    pub fn config_over(&self, settings: &[(&str, &str)]) -> anyhow::Result<&Config> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let mut config = Config::load_over(settings)?;
        config.provide_development_keys()?;
        Ok(self.config.get_or_init(|| config))
    }

    /// The database: that of `DATABASE_URL`, the private one of a server that runs beside, or else the private one, started
    /// for as long as the command runs. To be stopped by the command.
    pub async fn database(&self) -> anyhow::Result<Database> {
        Ok(Database::open(self.config()?).await?)
    }

    /// The log over a pool, reading on in the archives that are configured.
    pub fn log(&self, pool: Pool) -> anyhow::Result<EventLog> {
        Ok(EventLog::new(pool).with_archive(ArchiveReader::configured(&self.config()?.archive)?))
    }

    /// Does `work` with two pools: one that has the rights of the database's owner, one that has those of the running program.
    pub async fn with_owner<T>(&self, work: impl AsyncFnOnce(PgPool, Pool) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let database = self.database().await?;
        let owner = pool::owner(database.options(), &self.config()?.database);
        let result = self.work_on(&database, async |system| work(owner.clone(), system).await).await;
        pool::close(owner).await;
        database.stop().await;
        result
    }

    /// Does `work` with a pool that has the rights of the running program, and stops what was started for it.
    pub async fn with_database<T>(&self, work: impl AsyncFnOnce(Pool) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let database = self.database().await?;
        let result = self.work_on(&database, work).await;
        database.stop().await;
        result
    }

    async fn work_on<T>(
        &self,
        database: &Database,
        work: impl AsyncFnOnce(Pool) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let config = &self.config()?.database;
        let owner = pool::owner(database.options(), config);
        if database.embedded().is_some() {
            migrate::run(&owner).await?;
        } else {
            // Commands must not migrate a configured database; only `convoke migrate` and `convoke serve` do.
            migrate::check(&owner).await?;
        }
        pool::close(owner).await;
        let system = pool::system(database.options(), config);
        let result = work(system.clone()).await;
        pool::close(system).await;
        result
    }
}
