//! `convoke keys rewrap`

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::cli::progress::WorkProgress;
use crate::security::sealing::{MasterKeys, RewrapProgress, Sealer};

/// Encrypt all keys under the newest master key, which is the first one in the configuration.
///
/// The log does not change. The command can run beside servers, and can be stopped and run again. At the end it names the
/// master keys that are no longer needed. Exit code 1 if it was stopped, or if damaged keys were skipped.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    CONVOKE_MASTER_KEYS_FILE=/run/secrets/master-keys convoke keys rewrap")]
pub struct KeysRewrapArgs {
    /// For a program: one JSON object, with `total`, `done`, `damaged`, `retired` and `stopped`
    #[arg(long)]
    json: bool,
}

impl KeysRewrapArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let masters = MasterKeys::configured(&context.config()?.keys)?;
        let stop = context.stop.clone();
        let rewrapped = context
            .with_database(async |pool| {
                let mut progress = WorkProgress::new("rewrap", "keys", Some(0));
                let told = |so_far: &RewrapProgress| {
                    progress.set_total(so_far.total);
                    progress.set(so_far.done);
                };
                let rewrapped = Sealer::new(pool, masters).rewrap(&stop, told).await?;
                progress.finish();
                Ok(rewrapped)
            })
            .await?;
        if self.json {
            output::print_json(&rewrapped)?;
        } else {
            output::print_line(as_text(&rewrapped))?;
        }
        let whole = !rewrapped.stopped && rewrapped.damaged == 0;
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn as_text(rewrapped: &RewrapProgress) -> String {
    let mut text = format!("{} keys rewrapped", rewrapped.done);
    if rewrapped.damaged > 0 {
        text += &format!("; {} damaged keys skipped", rewrapped.damaged);
    }
    if rewrapped.stopped {
        text += "; stopped: run the command again for the rest";
    } else if !rewrapped.retired.is_empty() {
        text += &format!("; no longer needed: {}", rewrapped.retired.join(", "));
    }
    text
}
