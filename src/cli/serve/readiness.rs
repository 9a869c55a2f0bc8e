//! What `/health/ready` looks at.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::services::Services;
use crate::database::pool::Pool;
use crate::events::log::EventLog;
use crate::events::log::maintenance::{Maintenance, Runway};
use crate::events::relay::{RelayState, RelayStatus, relayed};
use crate::events::topic::shape::events_topic;
use crate::http::health::{CheckResult, Readiness};
use crate::projections::checkpoint::{self, ModelStatus};

pub fn checks(services: &Services, relay: Option<RelayStatus>, stop: CancellationToken) -> Readiness {
    let pool = services.pool.clone();
    let maintenance = services.maintenance();
    let models = services.pool.clone();
    let breakers = services.breakers.clone();
    let topic = RelayCheck::of(services, relay);
    let readiness = Readiness::new(stop)
        .check("database", move || database(pool.clone()))
        .check("partitions", move || partitions(maintenance.clone()))
        .check("projections", move || projections(models.clone()))
        // What is behind a breaker can be done without: told, and no reason to send requests elsewhere.
        .check("breakers", move || std::future::ready(Ok(breakers.summary())));
    let replicas = services.replicas.clone();
    let readiness = match replicas.is_empty() {
        true => readiness,
        // The primary answers for them.
        false => readiness.check("replicas", move || std::future::ready(Ok(replicas.summary()))),
    };
    match topic {
        Some(topic) => readiness.check("topic", move || topic.clone().summary()),
        None => readiness,
    }
}

/// The log's way to Kafka.
#[derive(Clone)]
struct RelayCheck {
    log: EventLog,
    name: String,
    relay: Option<RelayStatus>,
}

impl RelayCheck {
    fn of(services: &Services, relay: Option<RelayStatus>) -> Option<Self> {
        let kafka = &services.config.kafka;
        let name = kafka.brokers.is_some().then(|| events_topic(&kafka.prefix))?;
        Some(Self { log: services.log.clone(), name, relay })
    }

    /// A lagging topic does not affect commands and reads, so the check reports it and does not fail.
    async fn summary(self) -> CheckResult {
        let head = self.log.head().await.map_err(|error| error.to_string())?.position;
        let position = relayed(self.log.pool(), &self.name).await.map_err(|error| error.to_string())?;
        let behind = head.saturating_sub(position.unwrap_or(0));
        let summary = format!("{} is {behind} events behind the log", self.name);
        Ok(match self.relay.map(|relay| relay.state()) {
            Some(RelayState::Away { why }) => format!("{summary}; the relay failed and retries: {why}"),
            Some(RelayState::Refused { why }) => format!("{summary}; the relay stopped and needs an operator: {why}"),
            _ => summary,
        })
    }
}

/// A stopped read model does not affect commands and the other models, so the check reports it and does not fail.
async fn projections(pool: Pool) -> CheckResult {
    let found = checkpoint::all(&pool).await.map_err(|error| error.to_string())?;
    let stopped: Vec<String> = found
        .iter()
        .filter_map(|model| match &model.status {
            ModelStatus::Running => None,
            ModelStatus::Stopped { error, .. } => {
                Some(format!("{} stopped at position {}: {error}", model.name, model.position))
            }
        })
        .collect();
    Ok(if stopped.is_empty() { "all follow the log".into() } else { stopped.join("; ") })
}

async fn database(pool: Pool) -> CheckResult {
    match sqlx::query("SELECT 1").execute(&pool).await {
        Ok(_) => Ok("answers".into()),
        Err(error) => Err(error.to_string()),
    }
}

async fn partitions(maintenance: Maintenance) -> CheckResult {
    let days = |left: Duration| format!("{:.1} days ahead", left.as_secs_f64() / 86_400.0);
    match maintenance.runway().await {
        Ok(Runway::Enough(left)) => Ok(days(left)),
        Ok(Runway::Short(left)) => Err(format!("{} only; run `convoke partition ensure`", days(left))),
        Err(error) => Err(error.to_string()),
    }
}
