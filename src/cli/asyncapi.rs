//! `convoke asyncapi`

use std::process::ExitCode;

use clap::Args;

use super::output;
use crate::http::asyncapi;

/// Print the description of the live streams in AsyncAPI 3.0, as it is served at /asyncapi.json.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke asyncapi > asyncapi.json")]
pub struct AsyncApi {}

impl AsyncApi {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        output::print_text(&asyncapi::text())?;
        Ok(ExitCode::SUCCESS)
    }
}
