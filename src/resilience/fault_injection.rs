//! Points at which a test ends the process, to see what a crash leaves. Does nothing without the setting `CONVOKE_FAULT`.

use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

use crate::config::{FaultAction, FaultPoint, InjectedFault};

pub struct FaultInjector {
    fault: Option<InjectedFault>,
    passed: AtomicU32,
}

impl FaultInjector {
    pub fn new(fault: Option<InjectedFault>) -> Self {
        Self { fault, passed: AtomicU32::new(0) }
    }

    pub fn pass(&self, point: FaultPoint) {
        let Some(fault) = self.fault.filter(|fault| fault.point == point) else { return };
        if self.passed.fetch_add(1, Ordering::Relaxed) + 1 != fault.pass {
            return;
        }
        let signal = match fault.action {
            FaultAction::Kill => Signal::KILL,
            FaultAction::Stop => Signal::STOP,
        };
        tracing::warn!(?fault, "injected fault: the process ends or stops here");
        if let Err(error) = kill_process(getpid(), signal) {
            tracing::error!(%error, "sending a signal to this process failed");
        }
    }
}
