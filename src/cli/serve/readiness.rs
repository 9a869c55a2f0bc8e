//! What `/health/ready` looks at.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::foundation::Foundation;
use crate::events::log::maintenance::{Maintenance, Runway};
use crate::http::health::{CheckResult, Readiness};
use crate::projections::checkpoint::{self, Status};

pub fn checks(foundation: &Foundation, stop: CancellationToken) -> Readiness {
    let pool = foundation.pool.clone();
    let maintenance = foundation.maintenance();
    let models = foundation.pool.clone();
    let breakers = foundation.breakers.clone();
    Readiness::new(stop)
        .check("database", move || database(pool.clone()))
        .check("partitions", move || partitions(maintenance.clone()))
        .check("projections", move || projections(models.clone()))
        // What is behind a breaker can be done without: told, and no reason to send requests elsewhere.
        .check("breakers", move || std::future::ready(Ok(breakers.told())))
}

/// A read model that stopped makes the process no less able to take commands and to answer from the others: it is told here,
/// and is no reason to send requests elsewhere.
async fn projections(pool: PgPool) -> CheckResult {
    let found = checkpoint::all(&pool).await.map_err(|error| error.to_string())?;
    let stopped: Vec<String> = found
        .iter()
        .filter_map(|model| match &model.status {
            Status::Running => None,
            Status::Stopped { error, .. } => Some(format!("{} stopped at {}: {error}", model.name, model.position)),
        })
        .collect();
    Ok(if stopped.is_empty() { "all follow the log".into() } else { stopped.join("; ") })
}

async fn database(pool: PgPool) -> CheckResult {
    match sqlx::query("SELECT 1").execute(&pool).await {
        Ok(_) => Ok("answers".into()),
        Err(error) => Err(error.to_string()),
    }
}

async fn partitions(maintenance: Maintenance) -> CheckResult {
    let days = |left: Duration| format!("made ahead for {:.1} days", left.as_secs_f64() / 86_400.0);
    match maintenance.runway().await {
        Ok(Runway::Enough(left)) => Ok(days(left)),
        Ok(Runway::Short(left)) => Err(format!("{} only; run `convoke partition ensure`", days(left))),
        Err(error) => Err(error.to_string()),
    }
}
