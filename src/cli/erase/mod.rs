//! `convoke erase`

mod texts;
mod verify;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::commands::execute::{CommandOutcome, CommandRequest, Executor, ExecutorLimits, ExecutorServices};
use crate::commands::tenant::ErasePerson;
use crate::database::pool::Pool;
use crate::events::time::Clock;
use crate::ids::{Identity, RoomId, RoomKey, TenantId};
use crate::security::sealing::{MasterKeys, Sealer};
use crate::telemetry::metrics::Metrics;

/// Who the log has it from, when it was ordered here.
const ACTOR: &str = "operator";

/// Erase a person: delete the key of the person's personal fields, for good.
///
/// Executes the command erase-person, as a server of the tenant can send it. The person's names, messages and metadata are
/// encrypted under the deleted key and read as erased from then on. The events stay in the log, and one more records the
/// erasure. Running servers drop the key within a minute. Backups still have the key, encrypted: see docs/security.md.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Example:\n  convoke erase --tenant acme --identity alice --yes"
)]
pub struct EraseArgs {
    #[command(subcommand)]
    check: Option<EraseCheck>,
    /// The tenant of the person
    #[arg(long, required = true)]
    tenant: Option<TenantId>,
    /// The identity of the person, as in tokens (`sub`)
    #[arg(long, required = true)]
    identity: Option<Identity>,
    /// Confirm: an erasure cannot be undone
    #[arg(long, required = true)]
    yes: bool,
}

/// What is done before and after an erasure, to know that nothing was left.
#[derive(Debug, Subcommand)]
enum EraseCheck {
    Texts(texts::EraseTextsArgs),
    Verify(verify::EraseVerifyArgs),
}

/// Of what the command is answered.
#[derive(Deserialize)]
struct EraseAnswer {
    events: Vec<IgnoredAny>,
}

impl EraseArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let (tenant, identity) = match (self.check, self.tenant, self.identity) {
            (Some(EraseCheck::Texts(command)), ..) => return command.run(context).await,
            (Some(EraseCheck::Verify(command)), ..) => return command.run(context).await,
            (None, Some(tenant), Some(identity)) => (tenant, identity),
            (None, ..) => anyhow::bail!("--tenant and --identity are needed"),
        };
        let outcome = context.with_database(async |pool| execute(pool, &context, tenant, identity).await).await?;
        let answer: EraseAnswer = serde_json::from_str(&outcome.body)?;
        if answer.events.is_empty() {
            output::print_line("no personal data is stored for this person")?;
        } else {
            output::print_line(format_args!("erased, at position {}", outcome.position))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn execute(
    pool: Pool,
    context: &CliContext,
    tenant: TenantId,
    identity: Identity,
) -> anyhow::Result<CommandOutcome> {
    let config = context.config()?;
    let masters = MasterKeys::configured(&config.keys).context("the master keys cannot be used")?;
    let clock = Clock::system();
    let key = RoomKey { tenant, room: RoomId::TENANT };
    let request = CommandRequest::by_system(ACTOR, key, ErasePerson { identity }.into(), clock.now());
    let log = context.log(pool.clone())?;
    let on = ExecutorServices { log, sealer: Sealer::new(pool, masters), clock, metrics: Metrics::new() };
    let (executor, queue) = Executor::new(on, ExecutorLimits::configured(&config.log));
    let queue = tokio::spawn(queue);
    let outcome = executor.execute(request).await;
    // With the last executor the queue ends.
    drop(executor);
    queue.await?;
    Ok(outcome?)
}
