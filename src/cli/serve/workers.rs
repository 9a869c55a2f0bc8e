//! The work behind the answers, by role.

use super::foundation::Foundation;
use crate::tasks::Tasks;

pub fn spawn(foundation: &Foundation, tasks: &mut Tasks) {
    if foundation.config.roles.maintenance {
        tasks.spawn("maintenance", |stop| foundation.maintenance().run(stop));
    }
}
