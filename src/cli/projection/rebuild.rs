//! `convoke projection rebuild`

use std::process::ExitCode;

use clap::Args;

use super::fold::{self, FoldArgs};
use crate::cli::context::CliContext;
use crate::projections::rebuild::{Comparison, RebuildPurpose};

/// Rebuild read models from the first event and replace the live ones.
///
/// The live read models serve reads meanwhile. The command compares the new rows with the live rows at the same position,
/// prints a difference, and swaps them in either case. After an interruption the next run continues.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  convoke projection rebuild\n  convoke projection rebuild rooms messages --json")]
pub struct ProjectionRebuildArgs {
    #[command(flatten)]
    fold: FoldArgs,
}

impl ProjectionRebuildArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let reports = self.fold.run(&context, RebuildPurpose::Rebuild).await?;
        self.fold.print(&reports, |report| {
            let compared = match &report.comparison {
                Comparison::Equal { at, .. } => format!("the live rows were equal at position {at}"),
                other => fold::difference(other),
            };
            format!("{}: rebuilt up to position {}, digest {}; {compared}", report.name, report.position, report.digest)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
