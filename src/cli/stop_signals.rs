//! Signals. The first one (Ctrl-C, SIGTERM, SIGHUP) requests a graceful stop, the second one ends the process at once.
//! Acknowledged commands are in the log in either case.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// As a shell reports a process ended by Ctrl-C.
const ABORTED: i32 = 130;

/// Cancels `stop` at the first signal. From now on, no signal ends the process before the second.
pub fn listen(stop: CancellationToken) -> io::Result<()> {
    let mut signals = Signals {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
        hangup: signal(SignalKind::hangup())?,
    };
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping; a second signal ends the process at once");
        stop.cancel();
        let name = signals.next().await;
        tracing::warn!(signal = name, "ending at once");
        std::process::exit(ABORTED);
    });
    Ok(())
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}
