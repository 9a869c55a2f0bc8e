//! What rebuilding and verifying have in common: which models, progress, the report.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::context::CliContext;
use crate::cli::kafka;
use crate::cli::output;
use crate::cli::progress::WorkProgress;
use crate::events::feed::FeedSource;
use crate::projections::MODELS;
use crate::projections::model::ModelInfo;
use crate::projections::rebuild::{self, Comparison, Rebuild, RebuildPhase, RebuildPurpose, RebuildReport};
use crate::telemetry::metrics::Metrics;

#[derive(Debug, Args)]
pub struct FoldArgs {
    /// Which read models: rooms, sessions, messages [default: all]
    #[arg(value_name = "NAME", value_parser = MODELS.iter().map(|model| model.name).collect::<Vec<_>>())]
    names: Vec<String>,
    /// Read the events from the tables of the log, or from the Kafka topic
    #[arg(long, value_name = "FROM", value_parser = ["log", "kafka"], default_value = "log")]
    from: String,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl FoldArgs {
    pub async fn run(&self, context: &CliContext, purpose: RebuildPurpose) -> anyhow::Result<Vec<RebuildReport>> {
        let batch = context.config()?.projections.rebuild_batch;
        let models: Vec<ModelInfo> = MODELS
            .iter()
            .filter(|model| self.names.is_empty() || self.names.iter().any(|name| name == model.name))
            .copied()
            .collect();
        let metrics = Metrics::new();
        let reports = context
            .with_database(async |pool| {
                let log = context.log(pool)?;
                let mut rebuild = Rebuild::new(log.clone(), batch);
                if self.from == "kafka" {
                    let (client, shape) = kafka::configured(context)?;
                    rebuild = rebuild.reading(FeedSource::topic(log, client, shape.name, metrics.clone()));
                }
                let shown = tokio::spawn(show(rebuild.progress(), purpose));
                let reports = rebuild.run(&models, purpose, &context.stop).await;
                // It ends with the rebuild, which it watches.
                shown.await?;
                Ok(reports?)
            })
            .await?;
        if self.from == "kafka" {
            let (topic, log) = (metrics.fed_from("topic"), metrics.fed_from("log"));
            output::note(format_args!("{purpose}: {topic} events came from the topic, {log} from the log"));
        }
        Ok(reports)
    }

    pub fn print(&self, reports: &[RebuildReport], line: impl Fn(&RebuildReport) -> String) -> anyhow::Result<()> {
        if self.json {
            return output::print_pretty_json(&reports.iter().map(as_json).collect::<Vec<_>>());
        }
        for report in reports {
            output::print_line(line(report))?;
        }
        Ok(())
    }
}

/// Draws until the work is over.
async fn show(mut watched: tokio::sync::watch::Receiver<rebuild::RebuildProgress>, purpose: RebuildPurpose) {
    let mut shown: Option<WorkProgress> = None;
    let mut phase = RebuildPhase::Folding;
    while watched.changed().await.is_ok() {
        let now = *watched.borrow_and_update();
        if now.phase != phase {
            phase = now.phase;
            if let Some(done) = shown.take() {
                done.finish();
            }
            match phase {
                RebuildPhase::Folding => {}
                RebuildPhase::Indexing => output::note(format_args!("{purpose}: creating indexes")),
                RebuildPhase::Comparing => output::note(format_args!("{purpose}: comparing with the live rows")),
                RebuildPhase::Swapping => output::note(format_args!("{purpose}: swapping in the new rows")),
            }
        }
        if phase == RebuildPhase::Folding {
            let bar = shown.get_or_insert_with(|| {
                WorkProgress::new(purpose.to_string(), "events", Some(now.target)).resuming_at(now.position)
            });
            bar.set_total(now.target);
            bar.set(now.position);
        }
    }
    if let Some(done) = shown {
        done.finish();
    }
}

/// In what they are not the same.
pub fn difference(comparison: &Comparison) -> String {
    match comparison {
        Comparison::Equal { at, .. } => format!("equal at position {at}"),
        Comparison::Different { at, live, fold } => {
            format!(
                "the live rows differ from the log at position {at}: their digest is {live}, the rebuild has {fold}"
            )
        }
        Comparison::Changed { at, rows, checkpoint, fold } => format!(
            "the live rows were changed outside of the projection before position {at}: their digest is {rows}, their \
             checkpoint has {checkpoint}, the rebuild has {fold}"
        ),
        Comparison::Impossible(why) => format!("not compared: {why}"),
    }
}

fn as_json(report: &RebuildReport) -> Value {
    let comparison = match &report.comparison {
        Comparison::Equal { at, digest } => json!({ "result": "equal", "position": at, "digest": digest.to_string() }),
        Comparison::Different { at, live, fold } => json!({
            "result": "different", "position": at, "live": live.to_string(), "fold": fold.to_string(),
        }),
        Comparison::Changed { at, rows, checkpoint, fold } => json!({
            "result": "changed", "position": at, "live": rows.to_string(), "checkpoint": checkpoint.to_string(),
            "fold": fold.to_string(),
        }),
        Comparison::Impossible(why) => json!({ "result": "not-compared", "why": why }),
    };
    json!({
        "name": report.name,
        "position": report.position,
        "digest": report.digest.to_string(),
        "swapped": report.swapped,
        "comparison": comparison,
    })
}
