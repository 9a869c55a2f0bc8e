//! `convoke projection rebuild`

use std::process::ExitCode;

use clap::Args;

use super::fold::{self, Fold};
use crate::cli::context::Context;
use crate::projections::rebuild::{Comparison, Purpose};

/// Fold read models anew from the first event and put them in the place of the live ones.
///
/// The live ones serve on meanwhile. What was folded is compared with them at the same position, and a difference is told;
/// the fresh rows are put in place either way. Stopped or killed, the next run goes on from there.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  convoke projection rebuild\n  convoke projection rebuild rooms messages --json")]
pub struct Rebuild {
    #[command(flatten)]
    fold: Fold,
}

impl Rebuild {
    pub async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let reports = self.fold.run(&context, Purpose::Rebuild).await?;
        self.fold.print(&reports, |report| {
            let compared = match &report.comparison {
                Comparison::Equal { at, .. } => format!("the live rows were the same at position {at}"),
                other => fold::difference(other),
            };
            format!("{}: rebuilt up to position {}, digest {}; {compared}", report.name, report.position, report.digest)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
