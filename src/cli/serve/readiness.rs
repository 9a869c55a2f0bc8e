//! What `/health/ready` looks at.

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::foundation::Foundation;
use crate::http::health::{CheckResult, Readiness};

pub fn checks(foundation: &Foundation, stop: CancellationToken) -> Readiness {
    let pool = foundation.pool.clone();
    Readiness::new(stop).check("database", move || database(pool.clone()))
}

async fn database(pool: PgPool) -> CheckResult {
    match sqlx::query("SELECT 1").execute(&pool).await {
        Ok(_) => Ok("answers".into()),
        Err(error) => Err(error.to_string()),
    }
}
