//! What answers over HTTP, by role, and the work that answering needs.

use axum::Router;

use super::foundation::Foundation;
use super::{api, readiness, standing};
use crate::database::notifications::Notifications;
use crate::events::relay::Standing;
use crate::http;
use crate::tasks::Tasks;

/// Every process answers for its health and its metrics, whatever its roles.
pub async fn router(
    foundation: &Foundation,
    relay: Option<Standing>,
    notifications: &mut Notifications,
    tasks: &mut Tasks,
) -> anyhow::Result<Router> {
    let checks = readiness::checks(foundation, relay, tasks.token().clone());
    let (api, cache) = if foundation.config.roles.api {
        let (api, cache) = api::router(foundation, notifications, tasks).await?;
        (api, Some(cache))
    } else {
        (Router::new(), None)
    };
    let router = http::health::routes(checks)
        .merge(http::metrics::routes(foundation.metrics.clone(), standing::look(foundation, cache)))
        .merge(http::problem::pages::routes());
    Ok(router.merge(api))
}
