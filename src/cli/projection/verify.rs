//! `convoke projection verify`

use std::process::ExitCode;

use clap::Args;

use super::fold::{self, FoldArgs};
use crate::cli::context::CliContext;
use crate::projections::rebuild::{Comparison, RebuildPurpose};

/// Verify that live read models equal a rebuild from the log.
///
/// Folds the events from the first one, compares the digests of the rows at the position of the live model at the start, and
/// drops the new rows. Exit code 1 if they differ or could not be compared.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  convoke projection verify\n  convoke projection verify rooms --json")]
pub struct ProjectionVerifyArgs {
    #[command(flatten)]
    fold: FoldArgs,
}

impl ProjectionVerifyArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let reports = self.fold.run(&context, RebuildPurpose::Verify).await?;
        self.fold.print(&reports, |report| match &report.comparison {
            Comparison::Equal { at, digest } => {
                format!("{}: equal at position {at}, digest {digest}", report.name)
            }
            other => format!("{}: {}; run `convoke projection rebuild {0}`", report.name, fold::difference(other)),
        })?;
        let equal = reports.iter().all(|report| report.comparison.is_equal());
        Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
