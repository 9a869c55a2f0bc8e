//! The work behind the answers, by role.

use super::services::Services;
use crate::database::notifications::Notifications;
use crate::events::log::wake::HeadListener;
use crate::events::relay::Relay;
use crate::projections::live::{ProjectionRunner, SharedLogReader};
use crate::projections::retention::RetentionWorker;
use crate::tasks::Tasks;

pub fn spawn(services: &Services, relay: Option<Relay>, notifications: &mut Notifications, tasks: &mut Tasks) {
    let Services { config, log, source, window, metrics, progress, .. } = services;
    if config.roles.maintenance {
        tasks.spawn("maintenance", |stop| services.maintenance().run(stop));
        let retention = RetentionWorker::new(services.pool.clone(), config.retention.clone(), services.clock.clone());
        tasks.spawn("retention", |stop| retention.run(stop));
    }
    if config.roles.api || config.roles.projector {
        tasks.spawn("window", |stop| window.clone().run(source.clone(), stop));
    }
    if config.roles.projector {
        let reader = SharedLogReader::new(log.clone(), Some(window.clone()));
        let runner = ProjectionRunner::new(reader, progress.clone(), metrics.clone(), config.projections.batch);
        tasks.spawn("projector", |stop| runner.run(stop));
    }
    if config.roles.api || config.roles.projector || relay.is_some() {
        let head = HeadListener::new(log.clone(), notifications);
        tasks.spawn("wake", |stop| head.run(stop));
    }
    if let Some(relay) = relay {
        tasks.spawn("relay", |stop| relay.run(stop));
    }
}
