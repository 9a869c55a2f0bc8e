//! What a server says on the output stream once it answers.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::config::{Config, Environment};

/// The first line is for programs too: `listening on http://HOST:PORT`.
pub fn listening(config: &Config, address: SocketAddr) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "listening on http://{address}")?;
    if config.environment == Environment::Development {
        writeln!(output, "development mode: keys are kept in {}", config.data_dir.display())?;
    }
    output.flush()?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    Ok(())
}
