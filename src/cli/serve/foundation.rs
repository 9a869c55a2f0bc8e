//! What the parts of a server stand on.

use sqlx::PgPool;

use crate::config::Config;
use crate::database::{Database, migrate, pool};
use crate::events::feed::Source;
use crate::events::log::EventLog;
use crate::events::log::maintenance::Maintenance;
use crate::events::time::Clock;
use crate::projections::MODELS;
use crate::projections::live::Board;
use crate::resilience::Breakers;
use crate::telemetry::metrics::Metrics;

pub struct Foundation {
    pub config: Config,
    /// With the rights of the running program.
    pub pool: PgPool,
    pub log: EventLog,
    /// Where what happens is taken from by those who live by it.
    pub source: Source,
    pub clock: Clock,
    pub metrics: Metrics,
    /// Where the read models stand.
    pub board: Board,
    /// Around what the process can do without.
    pub breakers: Breakers,
}

impl Foundation {
    /// Brings the database up to date: its schema, and partitions of the log for now and the time ahead.
    pub async fn lay(config: &Config, database: &Database) -> anyhow::Result<Self> {
        let owner = pool::owner(database.options(), &config.database);
        for migration in migrate::run(&owner).await? {
            tracing::info!(migration, "the database was brought to a newer schema");
        }
        pool::close(owner).await;
        let pool = pool::system(database.options(), &config.database);
        let metrics = Metrics::new();
        metrics.pool("system", &pool);
        let log = EventLog::new(pool.clone());
        let board = Board::new(pool.clone(), MODELS);
        let breakers = Breakers::new(metrics.clone());
        let source = Source::configured(log.clone(), config, metrics.clone());
        let clock = Clock::system();
        let foundation = Self { config: config.clone(), pool, log, source, clock, metrics, board, breakers };
        foundation.maintenance().prepare().await?;
        Ok(foundation)
    }

    pub fn maintenance(&self) -> Maintenance {
        Maintenance::new(self.log.clone(), self.config.log.clone(), self.clock.clone())
    }

    /// Closes what is open.
    pub async fn leave(self) {
        pool::close(self.pool).await;
    }
}
