//! `convoke kafka audit`

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::cli::progress::WorkProgress;
use crate::events::topic::audit::{self, AuditError};

/// Compare the topic with the log, position by position.
///
/// Reads every committed record and compares it with the event of its position. Counts missing, doubled, out of order (within
/// a partition and within a room) and different records. Records that their retention deleted do not count as missing. Exit
/// code 1 if one of the four counts is not zero.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  KAFKA_BROKERS=127.0.0.1:9092 convoke kafka audit --json")]
pub struct KafkaAuditArgs {
    /// For a program: one JSON object
    #[arg(long)]
    json: bool,
}

impl KafkaAuditArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let (client, shape) = super::configured(&context)?;
        let name = shape.name.clone();
        let found = context
            .with_database(async |pool| {
                let report = Arc::new(AuditBars::default());
                let told = report.clone();
                let told: Arc<audit::AuditProgress> = Arc::new(move |part, done, total| told.tell(part, done, total));
                let found = audit::audit(&context.log(pool)?, client, name, context.stop.clone(), told).await;
                report.finish();
                Ok(found)
            })
            .await?;
        let found = match found {
            Ok(found) => found,
            Err(AuditError::Stopped) => {
                output::note("interrupted");
                return Ok(ExitCode::FAILURE);
            }
            Err(error) => return Err(error.into()),
        };
        if self.json {
            output::print_json(&found)?;
        } else {
            output::print_line(sentence(&shape.name, &found))?;
        }
        Ok(if found.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn sentence(topic: &str, found: &audit::TopicAudit) -> String {
    let audit::TopicAudit { records, from, through, head, missing, doubled, out_of_order, different, ended } = found;
    let mut text = format!(
        "{topic}: {records} records, positions {from} to {through} of {head}\n\
         missing {missing}\ndoubled {doubled}\nout of order {out_of_order}\ndifferent {different}"
    );
    if *ended > 0 {
        text.push_str(&format!("\n{ended} records belong to former epochs of the log"));
    }
    text
}

/// One bar for each part of the work.
#[derive(Default)]
struct AuditBars(Mutex<Option<(&'static str, WorkProgress)>>);

impl AuditBars {
    fn tell(&self, part: &'static str, done: u64, total: u64) {
        let mut present = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if present.as_ref().is_none_or(|(named, _)| *named != part)
            && let Some((_, ended)) = present.replace((part, WorkProgress::new(part, "events", Some(total))))
        {
            ended.finish();
        }
        if let Some((_, progress)) = present.as_mut() {
            progress.set(done);
        }
    }

    fn finish(&self) {
        if let Some((_, progress)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            progress.finish();
        }
    }
}
