//! What answers over HTTP, by role, and the work that answering needs.

use axum::Router;

use super::services::Services;
use super::{api, log_metrics, readiness};
use crate::database::notifications::Notifications;
use crate::events::relay::RelayStatus;
use crate::http;
use crate::tasks::Tasks;

/// Every process answers for its health and its metrics, whatever its roles.
pub async fn router(
    services: &Services,
    relay: Option<RelayStatus>,
    notifications: &mut Notifications,
    tasks: &mut Tasks,
) -> anyhow::Result<Router> {
    let checks = readiness::checks(services, relay, tasks.token().clone());
    let (api, cache) = if services.config.roles.api {
        let (api, cache) = api::router(services, notifications, tasks).await?;
        (api, Some(cache))
    } else {
        (Router::new(), None)
    };
    let router = http::health::routes(checks)
        .merge(http::metrics::routes(services.metrics.clone(), log_metrics::look(services, cache)))
        .merge(http::problem::pages::routes());
    Ok(router.merge(api))
}
