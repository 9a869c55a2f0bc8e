//! `convoke serve`: wires the parts of the server, runs them, and shuts them down.
//!
//! Start: address, database, schema, shared services (`services`), background tasks (`workers`), listening socket,
//! routes (`routes`). The address comes first, so that an occupied one is reported before anything is created. A stop
//! runs in the reverse order: no new connections, requests in flight, background tasks, the database.

mod announce;
mod api;
mod log_metrics;
mod readiness;
mod relay;
mod routes;
mod services;
mod workers;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::context::CliContext;
use crate::config::{Config, settings};
use crate::database::Database;
use crate::database::notifications::Notifications;
use crate::events::relay::Relay;
use crate::http;
use crate::http::serve::ReservedAddress;
use crate::tasks::Tasks;
use crate::telemetry;
use services::Services;

/// Run the server.
///
/// Without DATABASE_URL it starts a private PostgreSQL with its data in ./.convoke. On the first signal (Ctrl-C, SIGTERM) it
/// finishes the requests in flight, on the second one it ends at once.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  convoke serve\n  DATABASE_URL=postgres://convoke@db/convoke convoke serve --roles api"
)]
pub struct ServeArgs {
    /// Roles of this process, separated by commas: api, projector, relay, maintenance [default: all, or CONVOKE_ROLES]
    #[arg(long, value_name = "ROLES")]
    roles: Option<String>,
    /// Address of the API; port 0 selects a free port [default: 127.0.0.1:8080, or CONVOKE_HTTP_LISTEN]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

impl ServeArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let given = [(&settings::ROLES, &self.roles), (&settings::HTTP_LISTEN, &self.listen)];
        let given: Vec<_> =
            given.iter().filter_map(|(setting, value)| Some((setting.name, value.as_deref()?))).collect();
        let config = context.config_over(&given)?;
        super::config::serving(config)?;
        telemetry::init(&config.telemetry)?;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        http::serve::raise_file_limit();
        http::serve::use_small_pages();
        let address = http::serve::reserve(&config.http.listen).await.with_context(|| occupied(config))?;
        let database = Database::own(config).await?;
        let served = serve(config, address, &database, context.stop.clone()).await;
        database.stop().await;
        served?;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

fn occupied(config: &Config) -> String {
    format!("cannot listen on {}; set {} to another address", config.http.listen, settings::HTTP_LISTEN.name)
}

async fn serve(
    config: &Config,
    address: ReservedAddress,
    database: &Database,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let services = Services::start(config, database).await?;
    let mut tasks = Tasks::new(stop);
    tasks.spawn("database", |stop| database.clone().keep_running(stop));
    let relay = relay::relay(&services)?;
    let relay_status = relay.as_ref().map(Relay::status);
    let mut notifications = Notifications::new(&services.pool);
    workers::spawn(&services, relay, &mut notifications, &mut tasks);
    let listener = address.listen().with_context(|| occupied(config))?;
    let address = listener.local_addr()?;
    let router = routes::router(&services, relay_status, &mut notifications, &mut tasks).await?;
    // Every part has subscribed.
    tasks.spawn("notifications", |stop| notifications.run(stop));
    let server = http::serve::Server::new(listener, router, &config.http, &services.metrics);
    tasks.spawn("http", |stop| server.run(stop));
    announce::listening(config, address, services.clock.now())?;
    tasks.wait(config.shutdown_timeout).await?;
    services.close().await;
    Ok(())
}
