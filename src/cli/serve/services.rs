//! The services that the parts of a server share.

use anyhow::Context as _;

use crate::config::Config;
use crate::database::pool::{self, Pool};
use crate::database::requirements::{self, Shortcoming};
use crate::database::{self, Database, migrate};
use crate::events::archive::ArchiveReader;
use crate::events::feed::{EventWindow, FeedSource};
use crate::events::log::EventLog;
use crate::events::log::maintenance::Maintenance;
use crate::events::time::Clock;
use crate::projections::MODELS;
use crate::projections::live::ProjectionProgress;
use crate::projections::replicas::Replicas;
use crate::resilience::Breakers;
use crate::telemetry::metrics::Metrics;

pub struct Services {
    pub config: Config,
    /// With the rights of the running program, for what is written.
    pub pool: Pool,
    /// For what is read to answer.
    pub reads: Pool,
    pub log: EventLog,
    /// The source of events for streams and read models.
    pub source: FeedSource,
    /// The newest events, for all in the process who follow the log.
    pub window: EventWindow,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Where the read models stand.
    pub progress: ProjectionProgress,
    /// Around what the process can do without.
    pub breakers: Breakers,
    /// Of the database, to read from.
    pub replicas: Replicas,
}

impl Services {
    /// Brings the database up to date: its schema, and partitions of the log for now and the time ahead.
    pub async fn start(config: &Config, database: &Database) -> anyhow::Result<Self> {
        let owner = pool::owner(database.options(), &config.database);
        for migration in migrate::run(&owner).await? {
            tracing::info!(migration, "migration applied");
        }
        pool::close(owner).await;
        let (pool, reads) = database.pools(&config.database).await?;
        refuse_unfit(&pool, config).await?;
        let metrics = Metrics::new();
        metrics.pool("write", pool.connections());
        metrics.pool("read", reads.connections());
        if !pool.has_sessions() {
            metrics.pool("session", pool.sessions());
        }
        let archive = ArchiveReader::configured(&config.archive).context("CONVOKE_ARCHIVE_URL cannot be used")?;
        let log = EventLog::new(pool.clone()).with_archive(archive).keeping_appends();
        let progress = ProjectionProgress::new(pool.clone(), MODELS);
        let breakers = Breakers::new(metrics.clone());
        let source = FeedSource::configured(log.reading_from(reads.clone()), config, metrics.clone());
        let clock = Clock::system();
        let replicas = replicas(config, &reads, &breakers, &metrics)?;
        let config = config.clone();
        let window = EventWindow::default();
        let services = Self { config, pool, reads, log, source, window, clock, metrics, progress, breakers, replicas };
        services.maintenance().prepare().await?;
        Ok(services)
    }

    pub fn maintenance(&self) -> Maintenance {
        Maintenance::new(self.log.clone(), self.config.log.clone(), self.clock.clone())
    }

    /// Closes all connections.
    pub async fn close(self) {
        self.replicas.close().await;
        pool::close(self.reads).await;
        pool::close(self.pool).await;
    }
}

/// Logs unsuitable settings of the database; fails if it cannot be used at all.
async fn refuse_unfit(pool: &Pool, config: &Config) -> anyhow::Result<()> {
    let pooled = config.database.pool_size + config.database.read_pool_size;
    for Shortcoming { found, consequence, fatal } in requirements::shortcomings(pool, pooled).await? {
        anyhow::ensure!(!fatal, "the database cannot be used, {found}: {consequence}");
        tracing::warn!(found, "unsuitable database setting: {consequence}");
    }
    Ok(())
}

/// Creates a pool for each replica, as large as the primary's read pool.
fn replicas(config: &Config, primary: &Pool, breakers: &Breakers, metrics: &Metrics) -> anyhow::Result<Replicas> {
    let mut pools = Vec::new();
    for (number, url) in (1..).zip(&config.database.read_urls) {
        let options = database::at(url).with_context(|| format!("replica {number} of DATABASE_READ_URLS"))?;
        let pool = pool::reading(options, &config.database);
        metrics.pool(format!("replica-{number}"), pool.connections());
        pools.push(pool);
    }
    Ok(Replicas::new(primary.clone(), pools, config.database.replica_lag, breakers, metrics.clone()))
}
