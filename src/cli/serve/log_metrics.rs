//! The metrics of the log and the cache that are read on each scrape: the end of the log, the reach of its partitions, the
//! position of the topic, the content of the cache.

use std::time::Duration;

use super::services::Services;
use crate::events::log::maintenance::Maintenance;
use crate::events::log::{EventLog, LogError};
use crate::events::relay::relayed;
use crate::events::time::Timestamp;
use crate::events::topic::shape::events_topic;
use crate::live::cache::Cache;
use crate::telemetry::metrics::LogStatus;

/// After this long the log's metrics are omitted. Below the ten seconds that Prometheus waits for all metrics.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads the state of the log into the metrics.
pub fn look(
    services: &Services,
    cache: Option<Cache>,
) -> impl Fn() -> futures_util::future::BoxFuture<'static, ()> + Send + Sync + use<> {
    let (log, maintenance, metrics) = (services.log.clone(), services.maintenance(), services.metrics.clone());
    let kafka = &services.config.kafka;
    let topic = kafka.brokers.is_some().then(|| events_topic(&kafka.prefix));
    move || {
        let (log, maintenance, metrics, topic) = (log.clone(), maintenance.clone(), metrics.clone(), topic.clone());
        let cache = cache.clone();
        Box::pin(async move {
            if let Some(cache) = cache {
                cache.look().await;
            }
            // Why it does not tell is what `/health/ready` says.
            let status = tokio::time::timeout(PATIENCE, log_status(&log, &maintenance)).await.ok().and_then(Result::ok);
            let head = status.map(|status| status.position);
            metrics.log(status);
            if let Some(topic) = topic {
                let relayed =
                    tokio::time::timeout(PATIENCE, relayed(log.pool(), &topic)).await.ok().and_then(Result::ok);
                metrics.topic(relayed.map(Option::unwrap_or_default).zip(head));
            }
        })
    }
}

async fn log_status(log: &EventLog, maintenance: &Maintenance) -> Result<LogStatus, LogError> {
    let head = log.head().await?;
    let recorded = head.recorded_at.map(Timestamp::unix_micros).and_then(|micros| u64::try_from(micros).ok());
    let runway = maintenance.runway().await?.left();
    Ok(LogStatus { position: head.position, recorded: recorded.map(Duration::from_micros), runway })
}
