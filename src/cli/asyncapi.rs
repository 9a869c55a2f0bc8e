//! `convoke asyncapi`

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;

use crate::http::asyncapi;

/// Print the description of the live streams in AsyncAPI 3.0, as it is served at /asyncapi.json.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke asyncapi > asyncapi.json")]
pub struct AsyncApi {}

impl AsyncApi {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        std::io::stdout().lock().write_all(asyncapi::text().as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
