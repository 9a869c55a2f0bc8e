//! What `/metrics` tells of the log: where it ends, and how long its partitions reach.

use std::time::Duration;

use super::foundation::Foundation;
use crate::events::log::maintenance::Maintenance;
use crate::events::log::{EventLog, LogError};
use crate::events::time::Timestamp;
use crate::telemetry::metrics::LogStanding;

/// A log that takes longer does not tell. Below the ten seconds that Prometheus waits for all metrics.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at the log and tells the metrics.
pub fn look(
    foundation: &Foundation,
) -> impl Fn() -> futures_util::future::BoxFuture<'static, ()> + Send + Sync + use<> {
    let (log, maintenance, metrics) = (foundation.log.clone(), foundation.maintenance(), foundation.metrics.clone());
    move || {
        let (log, maintenance, metrics) = (log.clone(), maintenance.clone(), metrics.clone());
        Box::pin(async move {
            let told = tokio::time::timeout(PATIENCE, stand(&log, &maintenance)).await;
            // Why it does not tell is what `/health/ready` says.
            metrics.log(told.ok().and_then(Result::ok));
        })
    }
}

async fn stand(log: &EventLog, maintenance: &Maintenance) -> Result<LogStanding, LogError> {
    let head = log.head().await?;
    let recorded = head.recorded_at.map(Timestamp::unix_micros).and_then(|micros| u64::try_from(micros).ok());
    let runway = maintenance.runway().await?.left();
    Ok(LogStanding { position: head.position, recorded: recorded.map(Duration::from_micros), runway })
}
