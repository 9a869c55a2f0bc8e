//! The work behind the answers, by role.

use super::foundation::Foundation;
use crate::events::log::wake;
use crate::projections::live::Runner;
use crate::tasks::Tasks;

pub fn spawn(foundation: &Foundation, tasks: &mut Tasks) {
    let Foundation { config, log, metrics, board, .. } = foundation;
    if config.roles.maintenance {
        tasks.spawn("maintenance", |stop| foundation.maintenance().run(stop));
    }
    if config.roles.projector {
        let runner = Runner::new(log.clone(), board.clone(), metrics.clone(), config.projections.batch);
        tasks.spawn("projector", |stop| runner.run(stop));
    }
    if config.roles.projector && !config.roles.api {
        // Where the API runs too, it listens for what other processes append.
        tasks.spawn("wake", |stop| wake::run(log.clone(), stop));
    }
}
