//! What `/health/ready` looks at.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::foundation::Foundation;
use crate::events::log::maintenance::{Maintenance, Runway};
use crate::http::health::{CheckResult, Readiness};

pub fn checks(foundation: &Foundation, stop: CancellationToken) -> Readiness {
    let pool = foundation.pool.clone();
    let maintenance = foundation.maintenance();
    Readiness::new(stop)
        .check("database", move || database(pool.clone()))
        .check("partitions", move || partitions(maintenance.clone()))
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
