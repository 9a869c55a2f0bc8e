//! The command line: one file per command, with its arguments and a `run`.
//!
//! Results go to standard output; logs, progress and errors go to standard error, all through `output`. Exit codes: 0 success, 1
//! failure, 2 invalid command line; the help of a command documents further codes. See docs/command-line.md.

pub mod archive;
pub mod asyncapi;
pub mod cache;
pub mod config;
pub mod context;
pub mod erase;
mod event_line;
pub mod export;
pub mod import;
pub mod kafka;
pub mod keys;
pub mod log;
pub mod migrate;
pub mod openapi;
mod output;
pub mod partition;
pub mod progress;
pub mod projection;
pub mod serve;
mod stop_signals;
mod table;
pub mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::config::{LogFormat, TelemetryConfig};
use crate::telemetry;
use context::CliContext;
use output::{OutputError, note};

/// The event-sourced backend for live rooms: meetings, classes, calls.
///
/// `convoke serve` needs no configuration to run on one machine. Settings come from the environment or a file;
/// `convoke config check` shows their values.
#[derive(Debug, Parser)]
#[command(name = "convoke", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    Serve(serve::ServeArgs),
    Migrate(migrate::MigrateArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    #[command(subcommand)]
    Log(log::LogCommand),
    #[command(subcommand)]
    Partition(partition::PartitionCommand),
    #[command(subcommand)]
    Projection(projection::ProjectionCommand),
    #[command(subcommand)]
    Archive(archive::ArchiveCommand),
    #[command(subcommand)]
    Kafka(kafka::KafkaCommand),
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    #[command(subcommand)]
    Token(token::TokenCommand),
    Erase(erase::EraseArgs),
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    #[command(subcommand)]
    Config(config::ConfigCommand),
    #[command(name = "openapi")]
    OpenApi(openapi::OpenApiArgs),
    #[command(name = "asyncapi")]
    AsyncApi(asyncapi::AsyncApiArgs),
}

impl CliCommand {
    async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        // Logs of a command are told when something is amiss, not while all goes well. A server sets up its own.
        if !matches!(self, Self::Serve(_)) {
            telemetry::init(&TelemetryConfig { format: LogFormat::Human, level: "warn,sqlx::query=error".into() })?;
        }
        match self {
            Self::Serve(command) => command.run(context).await,
            Self::Migrate(command) => command.run(context).await,
            Self::Import(command) => command.run(context).await,
            Self::Export(command) => command.run(context).await,
            Self::Log(command) => command.run(context).await,
            Self::Partition(command) => command.run(context).await,
            Self::Projection(command) => command.run(context).await,
            Self::Archive(command) => command.run(context).await,
            Self::Kafka(command) => command.run(context).await,
            Self::Cache(command) => command.run(context).await,
            Self::Token(command) => command.run(context).await,
            Self::Erase(command) => command.run(context).await,
            Self::Keys(command) => command.run(context).await,
            Self::Config(command) => command.run().await,
            Self::OpenApi(command) => command.run(),
            Self::AsyncApi(command) => command.run(),
        }
    }
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) => return helped(&help),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            note(format_args!("error: no threads to run on: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_signals::listen(stop.clone())?;
        cli.command.run(CliContext::new(stop)).await
    });
    // What is still blocked (a write to a terminal, a name look-up) must not hold up the end.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| failure(&error))
}

/// Help and version were asked for, or the command line was not understood.
fn helped(help: &clap::Error) -> ExitCode {
    match output::print_help(help) {
        Ok(()) => u8::try_from(help.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => failure(&error.into()),
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    if OutputError::is_closed(error) {
        return ExitCode::SUCCESS;
    }
    note(format_args!("error: {}", error_chain(error)));
    ExitCode::FAILURE
}

/// The error and its causes. A cause that the error text already contains is omitted.
fn error_chain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_cause_that_an_error_repeats_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot be reached: {0}")]
        struct Unreachable(#[source] std::io::Error);
        let error = anyhow::Error::new(Unreachable(std::io::Error::other("refused"))).context("no server");
        assert_eq!(error_chain(&error), "no server: cannot be reached: refused");
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        fn look(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "{path} does not say what it does");
            let mut below = command.get_subcommands().peekable();
            if below.peek().is_none() {
                let shown = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(shown.contains("Example") && shown.contains(path.trim()), "{path} shows no example of itself");
            }
            below.for_each(|command| look(command, &path));
        }
        let cli = Cli::command();
        cli.clone().debug_assert();
        look(&cli, "");
    }
}
