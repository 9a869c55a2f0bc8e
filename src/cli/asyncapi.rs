//! `convoke asyncapi`

use std::process::ExitCode;

use clap::Args;

use super::output;
use crate::http::asyncapi;

/// Print the AsyncAPI 3.0 description of the live streams, as served at /asyncapi.json.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke asyncapi > asyncapi.json")]
pub struct AsyncApiArgs {}

impl AsyncApiArgs {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        output::print_text(&asyncapi::text())?;
        Ok(ExitCode::SUCCESS)
    }
}
