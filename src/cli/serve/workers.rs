//! The work behind the answers, by role.

use super::foundation::Foundation;
use crate::events::log::wake;
use crate::events::relay::Relay;
use crate::projections::live::{Runner, Tail};
use crate::projections::retention::Retention;
use crate::tasks::Tasks;

pub fn spawn(foundation: &Foundation, relay: Option<Relay>, tasks: &mut Tasks) {
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
    if (config.roles.projector || relay.is_some()) && !config.roles.api {
        // Where the API runs too, it listens for what other processes append.
        tasks.spawn("wake", |stop| wake::run(log.clone(), stop));
    }
    if let Some(relay) = relay {
        tasks.spawn("relay", |stop| relay.run(stop));
    }
}
