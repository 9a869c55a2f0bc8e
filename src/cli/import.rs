//! `convoke import`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::context::CliContext;
use super::output::{self, note};
use super::progress::WorkProgress;
use super::table::{result, table};
use crate::commands::execute::{ExecutorLimits, ExecutorServices};
use crate::commands::import::{
    Import, ImportEnd, ImportError, ImportLines, ImportSource, ImportState, ImportTally, LineReader, RefusedLines,
    SourceSurvey, survey,
};
use crate::config::Config;
use crate::database::pool::Pool;
use crate::events::time::Clock;
use crate::ids::TenantId;
use crate::security::sealing::{MasterKeys, Sealer};
use crate::telemetry::metrics::Metrics;

/// The exit code of an import that is done and refused more than could be expected.
const LINES_REFUSED: u8 = 3;

/// Import history: commands of the past, a line of JSON each.
///
/// Each line is executed as a new command would be, in order: applied, or counted by its reason for refusal. A refused line
/// does not stop the import. After an interruption the same command continues without duplicates; after the end it does
/// nothing. See docs/import.md for the format. Exit code 3 if the import is complete, but a kind of lines was refused entirely
/// (lines that are no commands, malformed lines of one command, lines of one command), or more lines than --allow-refused.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  convoke import --tenant acme history.ndjson.zst\n  convoke import --tenant acme --recorded-as-occurred 2012.ndjson.gz\n  zcat *.gz | convoke import --tenant acme --name nightly -"
)]
pub struct ImportArgs {
    /// NDJSON, plain, gzip or zstd; `-` reads standard input
    file: PathBuf,
    /// The tenant of lines that name none
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Record events at the times at which they occurred, in new partitions; the log must hold nothing else
    #[arg(long)]
    recorded_as_occurred: bool,
    /// The name under which the import continues when run again; required for standard input [default: by the file's content]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,
    /// The number of refused lines to expect: exit code 3 if there are more
    #[arg(long, value_name = "LINES")]
    allow_refused: Option<u64>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl ImportArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let source = ImportSource::new(&self.file);
        anyhow::ensure!(
            source != ImportSource::Stdin || self.name.is_some(),
            "standard input needs --name NAME, under which the import can continue"
        );
        let Some(survey) = self.survey(&source, &context).await? else {
            return Ok(ExitCode::FAILURE);
        };
        let config = context.config()?;
        context.with_database(async |pool| self.import(pool, source, survey, config, &context).await).await
    }

    /// How many lines there are and what they are, before any is taken; nothing for a stream. `None`: told to stop.
    async fn survey(
        &self,
        source: &ImportSource,
        context: &CliContext,
    ) -> anyhow::Result<Option<Option<SourceSurvey>>> {
        if *source == ImportSource::Stdin {
            return Ok(Some(None));
        }
        let (source, stop) = (source.clone(), context.stop.clone());
        let read = move || source.open_commands().and_then(|text| survey(text, &stop));
        let found = tokio::task::spawn_blocking(read).await?;
        Ok(found.with_context(|| self.file.display().to_string())?.map(Some))
    }

    async fn import(
        &self,
        pool: Pool,
        source: ImportSource,
        survey: Option<SourceSurvey>,
        config: &Config,
        context: &CliContext,
    ) -> anyhow::Result<ExitCode> {
        let name = self.known_as(survey.as_ref());
        let masters = MasterKeys::configured(&config.keys).context("the master keys cannot be used")?;
        let clock = Clock::system();
        let on = ExecutorServices {
            log: context.log(pool.clone())?,
            sealer: Sealer::new(pool, masters),
            clock: clock.clone(),
            metrics: Metrics::new(),
        };
        let unit = self.recorded_as_occurred.then_some(config.log.partition_unit);
        let mut import = Import::begin(on, ExecutorLimits::configured(&config.log), &name, unit).await?;
        let from = import.state().clone();
        let mut progress =
            WorkProgress::new("import", "lines", survey.map(|survey| survey.lines)).resuming_at(from.tally.lines());
        let begun = Instant::now();
        let ended = if survey.is_some_and(|survey| from.taken >= survey.lines && from.open.is_empty()) {
            Ok(ImportEnd::Done)
        } else {
            let reader = LineReader::new(&name, self.tenant.clone(), clock);
            let reader = reader.recording_as_occurred(self.recorded_as_occurred);
            let lines = ImportLines::start(source, from.skip(), &reader)?;
            import.run(lines, &context.stop, |state| progress.set(state.tally.lines())).await
        };
        progress.finish();
        let state = import.end().await?;
        let report = ImportReport::new(&state, &from, begun.elapsed(), &ended);
        if self.json {
            output::print_pretty_json(&report)?;
        } else {
            output::print_text(&report.text())?;
        }
        match ended.context("the import is incomplete; run the same command to continue")? {
            ImportEnd::Done => Ok(self.exit_code(&state.tally)),
            ImportEnd::Stopped => {
                note("stopped before the end; run the same command to continue");
                Ok(ExitCode::FAILURE)
            }
        }
    }

    /// Whether as many lines were taken as could be expected.
    fn exit_code(&self, tally: &ImportTally) -> ExitCode {
        let (refused, kinds) = (tally.refused_lines(), tally.wholly_refused());
        match self.allow_refused {
            Some(allowed) if refused <= allowed => ExitCode::SUCCESS,
            Some(allowed) => {
                note(format_args!("{refused} lines were refused, and {allowed} are allowed"));
                ExitCode::from(LINES_REFUSED)
            }
            None if kinds.is_empty() => ExitCode::SUCCESS,
            None => {
                let kinds = kinds.join(", ");
                note(format_args!("all lines of a kind were refused: {kinds}; --allow-refused {refused} accepts this"));
                ExitCode::from(LINES_REFUSED)
            }
        }
    }

    /// The name under which it is known again: that of the command line, or one of the content, whatever file it is in.
    fn known_as(&self, survey: Option<&SourceSurvey>) -> String {
        let tenant = self.tenant.as_ref().map_or("", TenantId::as_str);
        match (&self.name, survey) {
            (Some(name), _) => format!("import {tenant} {name}"),
            (None, survey) => {
                let content = survey.map_or(&[][..], |survey| &survey.digest);
                let hash = Sha256::new().chain_update(tenant).chain_update("\0").chain_update(content).finalize();
                format!("import {}", URL_SAFE_NO_PAD.encode(hash))
            }
        }
    }
}

/// What became of the lines, over all imports of the source.
#[derive(Serialize)]
struct ImportReport<'a> {
    done: bool,
    lines: u64,
    applied: u64,
    unchanged: u64,
    repeated: u64,
    blank: u64,
    refused_lines: u64,
    refused: &'a BTreeMap<String, RefusedLines>,
    /// Kinds of lines of which not one was taken.
    wholly_refused: Vec<&'a str>,
    events: u64,
    /// Of this run alone.
    this_run: RunTotals,
}

#[derive(Serialize)]
struct RunTotals {
    lines: u64,
    events: u64,
    seconds: f64,
    lines_per_second: f64,
}

impl<'a> ImportReport<'a> {
    fn new(state: &'a ImportState, from: &ImportState, took: Duration, ended: &Result<ImportEnd, ImportError>) -> Self {
        let tally = &state.tally;
        let (lines, seconds) = (tally.lines() - from.tally.lines(), took.as_secs_f64());
        Self {
            done: matches!(ended, Ok(ImportEnd::Done)),
            lines: tally.lines(),
            applied: tally.applied,
            unchanged: tally.unchanged,
            repeated: tally.repeated,
            blank: tally.blank,
            refused_lines: tally.refused_lines(),
            refused: &tally.refused,
            wholly_refused: tally.wholly_refused(),
            events: tally.events,
            this_run: RunTotals {
                lines,
                events: tally.events - from.tally.events,
                seconds,
                lines_per_second: lines as f64 / seconds.max(f64::MIN_POSITIVE),
            },
        }
    }

    fn text(&self) -> String {
        let mut table = table(&["result", "lines", "first line", "reason"], &[1, 2]);
        let mut row = |what: &str, lines: u64| {
            if lines > 0 {
                table.add_row([what, &lines.to_string(), "", ""]);
            }
        };
        row("applied", self.applied);
        row("accepted, without a change", self.unchanged);
        row("repeated under its idempotency key", self.repeated);
        row("empty", self.blank);
        let mut refused: Vec<_> = self.refused.iter().collect();
        refused.sort_by_key(|(_, refused)| std::cmp::Reverse(refused.lines));
        for (reason, refused) in refused {
            let (lines, first) = (refused.lines.to_string(), refused.first_line.to_string());
            table.add_row([&format!("refused: {reason}"), &lines, &first, &refused.detail]);
        }
        table.add_row(["all", &self.lines.to_string(), "", ""]);
        let RunTotals { lines, events, seconds, .. } = self.this_run;
        format!(
            "{table}\n\n{} events in total; this run: {events} events, {}\n",
            self.events,
            result(lines, "lines", Duration::from_secs_f64(seconds)),
        )
    }
}
