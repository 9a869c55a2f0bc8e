//! `convoke openapi`

use std::process::ExitCode;

use clap::Args;

use super::output;
use crate::http::description;

/// Print the OpenAPI 3.1 description of the API, as served at /openapi.json.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke openapi > openapi.json")]
pub struct OpenApiArgs {}

impl OpenApiArgs {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        output::print_text(&description::text())?;
        Ok(ExitCode::SUCCESS)
    }
}
