//! The work behind the answers, by role.

use super::foundation::Foundation;
use crate::database::notifications::Notifications;
use crate::events::log::wake::HeadListener;
use crate::events::relay::Relay;
use crate::projections::live::{Runner, Tail};
use crate::projections::retention::Retention;
use crate::tasks::Tasks;

pub fn spawn(foundation: &Foundation, relay: Option<Relay>, notifications: &mut Notifications, tasks: &mut Tasks) {
    let Foundation { config, log, source, window, metrics, board, .. } = foundation;
    if config.roles.maintenance {
        tasks.spawn("maintenance", |stop| foundation.maintenance().run(stop));
        let retention = Retention::new(foundation.pool.clone(), config.retention.clone(), foundation.clock.clone());
        tasks.spawn("retention", |stop| retention.run(stop));
    }
    if config.roles.api || config.roles.projector {
        tasks.spawn("window", |stop| window.clone().run(source.clone(), stop));
    }
    if config.roles.projector {
        let tail = Tail::new(log.clone(), Some(window.clone()));
        let runner = Runner::new(tail, board.clone(), metrics.clone(), config.projections.batch);
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
