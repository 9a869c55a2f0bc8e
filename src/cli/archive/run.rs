//! `convoke archive run`

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use sqlx::PgPool;

use crate::cli::context::CliContext;
use crate::cli::progress::WorkProgress;
use crate::cli::{output, table};
use crate::config::{duration, settings};
use crate::database::pool::Pool;
use crate::events::archive::ArchiveReader;
use crate::events::time::{Clock, Timestamp};
use crate::events::topic::shape::events_topic;
use crate::projections::archives::{self, ArchivePlan, ArchiveStep, LogArchiver, MovedPartition};
use crate::resilience::fault_injection::FaultInjector;

/// Move partitions of the log that are older than the retention to Parquet files.
///
/// The command writes each partition, reads it back, compares it with the log, adds it to the catalogue, and only then drops it
/// from the database. Commands and reads continue meanwhile, and archived events stay readable. A partition waits until the
/// relay to Kafka and all read models have passed it. After an interruption, the next run continues. Needs the rights of the
/// database's owner. Exit code 1 if old partitions have to wait.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  convoke archive run --dry-run\n  convoke archive run --older-than 90d")]
pub struct ArchiveRunArgs {
    /// Show what would be archived, with events and bytes, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// How long events stay in the database, such as 90d; default: CONVOKE_ARCHIVE_RETENTION
    #[arg(long, value_name = "TIME", value_parser = time)]
    older_than: Option<Duration>,
    /// For a program: one JSON object
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "write a number and its unit, such as 90d, 12w or 48h".into())
}

#[derive(Serialize)]
struct ArchiveReport {
    dry_run: bool,
    moved: Vec<MovedPartition>,
    #[serde(flatten)]
    plan: ArchivePlan,
}

impl ArchiveRunArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let config = context.config()?;
        let archive = ArchiveReader::configured(&config.archive)?;
        let name = settings::ARCHIVE_URL.name;
        let archive = archive.ok_or_else(|| {
            anyhow::anyhow!("no archive is configured; set {name}, such as file:///srv/convoke/archive")
        })?;
        let report =
            context.with_owner(async |owner, system| self.archive(&context, archive, owner, system).await).await?;
        if self.json {
            output::print_json(&report)?;
        } else {
            output::print_text(&summary(&report))?;
        }
        Ok(if report.plan.waiting.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn archive(
        &self,
        context: &CliContext,
        archive: ArchiveReader,
        owner: PgPool,
        system: Pool,
    ) -> anyhow::Result<ArchiveReport> {
        let config = context.config()?;
        let topic = config.kafka.brokers.is_some().then(|| events_topic(&config.kafka.prefix));
        let before = archives::before(Clock::system().now(), self.older_than.unwrap_or(config.archive.retention));
        let archiving = LogArchiver::new(owner, context.log(system)?, archive, topic, FaultInjector::new(config.fault));
        let mut moved = Vec::new();
        let plan = if self.dry_run {
            archiving.plan(before).await?
        } else {
            let mut shown = ArchiveDisplay::default();
            let mut tell = |step: ArchiveStep| {
                shown.tell(&step);
                if let ArchiveStep::Moved(one) = step {
                    moved.push(one);
                }
            };
            archiving.run(before, &mut tell, &context.stop).await?
        };
        Ok(ArchiveReport { dry_run: self.dry_run, moved, plan })
    }
}

/// What is under way, on the error stream.
#[derive(Default)]
struct ArchiveDisplay(Option<(String, WorkProgress)>);

impl ArchiveDisplay {
    fn tell(&mut self, step: &ArchiveStep) {
        match step {
            ArchiveStep::Writing { partition, done, events } => {
                self.count(&format!("write {partition}"), *done, *events)
            }
            ArchiveStep::Comparing { partition, done, events } => {
                self.count(&format!("compare {partition}"), *done, *events)
            }
            ArchiveStep::Detaching { partition } => {
                self.end();
                output::note(format_args!("detaching {partition} from the log; waiting for transactions that use it"));
            }
            ArchiveStep::Moved(_) | ArchiveStep::Emptied { .. } => self.end(),
        }
    }

    fn count(&mut self, what: &str, done: u64, events: u64) {
        if self.0.as_ref().is_none_or(|(shown, _)| shown != what) {
            self.end();
            self.0 = Some((what.to_owned(), WorkProgress::new(what, "events", Some(events))));
        }
        if let Some((_, progress)) = &mut self.0 {
            progress.set(done);
        }
    }

    fn end(&mut self) {
        if let Some((_, progress)) = self.0.take() {
            progress.finish();
        }
    }
}

fn summary(report: &ArchiveReport) -> String {
    let day = |at: Timestamp| at.utc().format("%Y-%m-%d").to_string();
    let mut text = String::new();
    if report.dry_run && !report.plan.moves.is_empty() {
        let mut table = table::table(&["partition", "from", "to", "positions", "events", "size"], &[4, 5]);
        for one in &report.plan.moves {
            table.add_row([
                one.partition.clone(),
                day(one.from),
                day(one.to),
                format!("{} to {}", one.first_position, one.last_position),
                one.events.to_string(),
                table::bytes(one.bytes),
            ]);
        }
        let (events, bytes) = report.plan.moves.iter().fold((0, 0), |(e, b), one| (e + one.events, b + one.bytes));
        text = format!("{table}\nwould move: {events} events, {}\n", table::bytes(bytes));
    }
    if !report.moved.is_empty() {
        let mut table = table::table(&["partition", "events", "before", "archived", "file"], &[1, 2, 3]);
        for one in &report.moved {
            table.add_row([
                one.partition.clone(),
                one.events.to_string(),
                table::bytes(one.bytes_before),
                table::bytes(one.bytes),
                one.file.clone(),
            ]);
        }
        text = format!("{table}\n");
    }
    if !report.plan.empty.is_empty() {
        let verb = if report.dry_run { "would drop" } else { "dropped" };
        text += &format!("{verb} empty partitions: {}\n", report.plan.empty.join(", "));
    }
    for (one, hindrance) in &report.plan.waiting {
        let (kind, name) = (&hindrance.kind, &hindrance.name);
        let at = match hindrance.position {
            Some(at) => format!("is at {at}, the partition ends at {}", one.last_position),
            None => "has not begun".into(),
        };
        text += &format!("{} has to wait: the {kind} {name} {at}\n", one.partition);
    }
    if text.is_empty() {
        text = format!("nothing to archive: no partition with events ended before {}\n", day(report.plan.before));
    }
    text
}
