//! Logs and metrics.
//!
//! Logs go to standard error, as lines for people or as JSON; results of commands go to standard output and do not pass here. A
//! request's span carries `id`, `method`, `route`, and `room` and `command` if known, so that its lines can be found by them.

pub mod metrics;
mod pool_waits;
pub mod slow_statements;

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

use crate::config::{LogFormat, TelemetryConfig};
use crate::tasks::panic_message;

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the log level or filter is not one")]
    Level(#[from] ParseError),
    #[error("logging was set up before")]
    Twice(#[from] TryInitError),
}

/// Sets up logging for the process, once. From then on a panic is a line of the log too.
pub fn init(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let level = EnvFilter::try_new(&config.level)?;
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        // Told on the very stream that cannot be written, it would panic.
        .log_internal_errors(false)
        .with_ansi(config.format == LogFormat::Human && std::io::stderr().is_terminal());
    let lines = match config.format {
        LogFormat::Human => lines.with_target(false).with_filter(level).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).with_filter(level).boxed(),
    };
    tracing_subscriber::registry().with(lines).with(slow_statements::counter()).with(pool_waits::watch()).try_init()?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs a panic once; the code that catches it only handles the work.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = std::backtrace::Backtrace::capture();
    let message = panic_message(panic.payload());
    match backtrace.status() {
        std::backtrace::BacktraceStatus::Captured => {
            tracing::error!(panic = message, place, %backtrace, "panic")
        }
        _ => tracing::error!(panic = message, place, "panic"),
    }
}
