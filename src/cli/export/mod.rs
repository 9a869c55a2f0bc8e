//! `convoke export`
//!
//! ```text
//! log ─► pages of events ─► lines (reading) ─► compressed, written (target), on a thread of its own
//! ```
//!
//! Invariants:
//! - The end is fixed before the first event is read, so an export ends whatever is appended meanwhile.
//! - Memory is bounded by three pages, whatever the size of the log.
//! - A file appears, or changes, only as a whole. After completion, a stop or the loss of the log, it ends with a complete line
//!   and a complete compressed stream, and the command prints the position after which to continue. If the file cannot be
//!   written, it stays unchanged.

mod existing;
mod packing;
mod reading;
mod report;
mod selection;
mod target;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use tokio::sync::mpsc;

use super::context::CliContext;
use super::output::{self, note};
use super::progress::WorkProgress;
use crate::database::pool::Pool;
use crate::security::sealing::{MasterKeys, Sealer};
use existing::{ExistingExport, LastLine};
use reading::{ExportPage, ExportReader};
use report::{ExportReport, ExportTotals, to_go_on};
use selection::{ExportSelection, PositionRange};
use target::{ExportOutput, ExportTarget, WriteMode};

/// Pages that wait to be written.
const WAITING: usize = 1;

/// Export events as lines of JSON, in the order of the log.
///
/// Lines have the shape of the API; without --tenant each begins with its tenant. The export ends where the log ends at its
/// start. The extension of the file (.gz, .zst) selects the compression. The file appears when it is complete. After Ctrl-C it
/// is valid up to the last exported event, and the command prints how to continue. Exit code 1 if the export is incomplete. See
/// docs/export.md.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  convoke export log.ndjson.zst\n  convoke export --append log.ndjson.zst\n  convoke export --tenant acme --from 2026-01-01T00:00:00Z --until 2026-02-01T00:00:00Z --open january.ndjson.gz\n  convoke export --tenant acme --room 01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11 | jq .type"
)]
pub struct ExportArgs {
    /// The file; `-` writes to standard output
    #[arg(default_value = "-", hide_default_value = true)]
    file: PathBuf,
    #[command(flatten)]
    selection: ExportSelection,
    /// Decrypt personal fields with the configured master keys; only the owner can read the file
    #[arg(long)]
    open: bool,
    /// Overwrite an existing file
    #[arg(long, conflicts_with = "append")]
    force: bool,
    /// Continue after the last line of an existing file
    #[arg(long)]
    append: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Why it ended.
enum ExportEnd {
    Done,
    Stopped,
    /// It could not be read on.
    CutOff(anyhow::Error),
}

impl ExportArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(!self.append || self.file().is_some(), "--append needs a file");
        let Some((target, last)) = self.target(&context).await? else {
            note("stopped before the first event was written");
            return Ok(ExitCode::FAILURE);
        };
        context.with_database(async |pool| self.export(pool, target, last, &context).await).await
    }

    /// `None`: the output stream.
    fn file(&self) -> Option<&Path> {
        (self.file.as_os_str() != "-").then_some(&*self.file)
    }

    /// Where it goes, and what the file there ends with. `None`: told to stop.
    async fn target(&self, context: &CliContext) -> anyhow::Result<Option<(ExportTarget, Option<LastLine>)>> {
        let Some(file) = self.file() else { return Ok(Some((ExportTarget::stdout()?, None))) };
        let how = match (self.append, self.force) {
            (true, _) => WriteMode::Append,
            (_, true) => WriteMode::Overwrite,
            _ => WriteMode::New,
        };
        let mut target = ExportTarget::file(file, how, self.open)?;
        let stop = context.stop.clone();
        // Disks take their time.
        let ready = tokio::task::spawn_blocking(move || -> anyhow::Result<_> {
            let last = match target.existing() {
                None => None,
                Some(existing) => match existing::read(existing, target.packing(), &stop)? {
                    ExistingExport::Stopped => return Ok(None),
                    ExistingExport::Empty => None,
                    ExistingExport::EndsWith(last) => Some(last),
                },
            };
            Ok(target.copy_existing(&stop)?.then_some((target, last)))
        });
        ready.await?
    }

    async fn export(
        &self,
        pool: Pool,
        target: ExportTarget,
        last: Option<LastLine>,
        context: &CliContext,
    ) -> anyhow::Result<ExitCode> {
        let sealer = if self.open {
            let masters = MasterKeys::configured(&context.config()?.keys).context("the master keys cannot be used")?;
            Some(Sealer::new(pool.clone(), masters))
        } else {
            None
        };
        let log = context.log(pool)?;
        let range = self.selection.range(&log, last.as_ref()).await?;
        let mut reading = ExportReader::new(log, sealer, &self.selection, range).await?;
        let begun = Instant::now();
        let (sender, pages) = mpsc::channel(WAITING);
        let progress = self.progress(&reading);
        let output = target.open()?;
        let writing = tokio::task::spawn_blocking(move || write(output, range, pages, progress));
        let ended = match reading.send(sender, &context.stop).await {
            Ok(true) => ExportEnd::Done,
            Ok(false) => ExportEnd::Stopped,
            Err(error) => ExportEnd::CutOff(error),
        };
        let (output, written) = writing.await??;
        if !reading.locked.is_empty() {
            let masters: Vec<&str> = reading.locked.iter().map(String::as_str).collect();
            note(format_args!(
                "some personal fields stay sealed: their keys are wrapped under master keys that are not in CONVOKE_MASTER_KEYS: {}",
                masters.join(", ")
            ));
        }
        self.end(output, written, range, begun.elapsed(), ended).await
    }

    /// None where the lines themselves run over the terminal.
    fn progress(&self, reading: &ExportReader) -> Option<WorkProgress> {
        let (total, unit) = reading.total();
        let seen = self.file().is_none() && output::is_seen();
        (!seen).then(|| WorkProgress::new("export", unit, Some(total)))
    }

    async fn end(
        &self,
        output: ExportOutput,
        written: ExportTotals,
        range: PositionRange,
        took: Duration,
        ended: ExportEnd,
    ) -> anyhow::Result<ExitCode> {
        let done = matches!(ended, ExportEnd::Done);
        if !done && written.events == 0 {
            drop(output);
            return match ended {
                ExportEnd::CutOff(error) => Err(error.context("nothing was exported")),
                ExportEnd::Done | ExportEnd::Stopped => {
                    note("stopped before the first event was written");
                    Ok(ExitCode::FAILURE)
                }
            };
        }
        let size = tokio::task::spawn_blocking(move || output.keep()).await??;
        let go_on = (!done).then(|| to_go_on(&self.selection, self.open, written.through, self.file()));
        let mut report = ExportReport::new(&written, range, took, done).with_go_on(go_on.clone());
        if let Some(file) = self.file() {
            report = report.in_file(file.to_owned(), size);
        }
        self.tell(&report)?;
        let Some(go_on) = go_on else { return Ok(ExitCode::SUCCESS) };
        let place = self.file().map_or("what was written".into(), |file| file.display().to_string());
        let told = format!("{place} is valid up to position {}; continue with:\n  {go_on}", written.through);
        note(format_args!("stopped before the end: {told}"));
        match ended {
            ExportEnd::CutOff(error) => Err(error.context("the export is incomplete")),
            ExportEnd::Done | ExportEnd::Stopped => Ok(ExitCode::FAILURE),
        }
    }

    /// On the output stream, unless the lines are there.
    fn tell(&self, report: &ExportReport) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string_pretty(report)? + "\n" } else { report.text() };
        if self.file().is_some() {
            output::print_text(&text)?;
        } else {
            note(text.trim_end());
        }
        Ok(())
    }
}

/// Writes pages until there are no more.
fn write(
    mut output: ExportOutput,
    range: PositionRange,
    mut pages: mpsc::Receiver<ExportPage>,
    mut progress: Option<WorkProgress>,
) -> anyhow::Result<(ExportOutput, ExportTotals)> {
    let mut written = ExportTotals { through: range.after, ..ExportTotals::default() };
    while let Some(page) = pages.blocking_recv() {
        output.write_all(&page.text)?;
        written.events += page.events;
        written.bytes += page.text.len() as u64;
        written.through = page.through;
        written.personal.open += page.personal.open;
        written.personal.sealed += page.personal.sealed;
        written.personal.erased += page.personal.erased;
        if let Some(progress) = &mut progress {
            progress.set(page.done);
        }
    }
    if let Some(progress) = progress {
        progress.finish();
    }
    Ok((output, written))
}
