//! The private PostgreSQL of a machine without a `DATABASE_URL`: the installed binaries with a data directory of its own.
//!
//! Invariants: one process owns a data directory at a time (`data_dir::DataDirLock`), and a second one reports the
//! owner. The server is reachable by a Unix socket only. It runs with fsync and synchronous commits. It stops with its
//! owner, and is restarted if it dies first. `docs/embedded-database.md` documents it for users.

mod binaries;
mod data_dir;
mod errors;
mod process;
mod tuning;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub use binaries::LEAST_MAJOR;
use binaries::PostgresBinaries;
use data_dir::{DataDir, DataDirLock};
pub use errors::EmbeddedError;
use process::ServerProcess;

use super::timeout::with_timeout;

const SUPERUSER: &str = "convoke";
const DATABASE: &str = "convoke";
/// Recovery after a crash reads at most `max_wal_size` of WAL.
const START_PATIENCE: Duration = Duration::from_secs(300);
/// A server that answers at all answers sooner. One that is stopping may take a connection and say nothing.
const JOIN_ANSWER: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(25);
/// Between a death and the first new start; doubled with each start that fails.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const GIVE_UP: Duration = Duration::from_secs(3600);

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    pub data_dir: PathBuf,
    /// None: searched for, in these folders first.
    pub postgres_bin: Option<PathBuf>,
    pub program_folders: Vec<PathBuf>,
    /// Server settings over our own, as `name=value`.
    pub settings: Vec<String>,
}

/// A private server that this process owns.
#[derive(Debug)]
pub struct Embedded {
    binaries: PostgresBinaries,
    place: DataDir,
    settings: Vec<String>,
    options: PgConnectOptions,
    process: Mutex<ServerProcess>,
    _lock: DataDirLock,
}

impl Embedded {
    /// Makes the data where there is none, starts the server and waits until it answers.
    pub async fn start(launch: &LaunchOptions) -> Result<Self, EmbeddedError> {
        let data_dir = absolute(&launch.data_dir)?;
        let lock = DataDirLock::take(&data_dir)?;
        // Looked for before anything is made: without binaries, nothing is left behind but the lock.
        let binaries = PostgresBinaries::find(launch, &data_dir.join("postgres/data"))?;
        let place = DataDir::prepare(&data_dir)?;
        if !place.data().exists() {
            tracing::info!(data = %place.data().display(), version = binaries.major, "creating a private PostgreSQL");
            process::init(&binaries, &place).await?;
        }
        let socket_folder = place.socket_folder()?;
        let mut settings = tuning::settings(&place, &socket_folder, tuning::memory());
        if binaries.takes(&place.data(), tuning::CHEAP_COMPRESSION) {
            settings.push(tuning::CHEAP_COMPRESSION.into());
        }
        settings.extend(launch.settings.iter().cloned());
        let options = options(&socket_folder);
        let process = start_until_ready(&binaries, &place, &settings, &options).await?;
        let embedded = Self { binaries, place, settings, options, process: Mutex::new(process), _lock: lock };
        embedded.make_database().await?;
        Ok(embedded)
    }

    pub fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Starts the server again whenever it ends by itself, until told to stop. Fails when no start has succeeded for
    /// `GIVE_UP`: what passes (a full disk, say) is waited for.
    pub async fn keep_running(&self, stop: &CancellationToken) -> Result<(), EmbeddedError> {
        let mut process = self.process.lock().await;
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = process.wait() => {}
            }
            tracing::error!("the private PostgreSQL died, restarting it");
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                started = self.start_again() => *process = started?,
            }
            tracing::info!("the private PostgreSQL is running again");
        }
    }

    async fn start_again(&self) -> Result<ServerProcess, EmbeddedError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(pause).await;
            match start_until_ready(&self.binaries, &self.place, &self.settings, &self.options).await {
                Err(error) if begun.elapsed() < GIVE_UP => {
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tracing::error!(%error, "restarting the private PostgreSQL failed, retrying in {pause:?}");
                }
                ended => return ended,
            }
        }
    }

    pub async fn stop(&self) {
        self.process.lock().await.stop().await;
        self.place.leave_socket_folder();
    }

    async fn make_database(&self) -> Result<(), EmbeddedError> {
        let not_ready = |source| EmbeddedError::NotReady { log: self.place.logs(), source };
        let maintenance = self.options.clone().database("postgres");
        let mut connection = maintenance.connect().await.map_err(not_ready)?;
        let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
            .bind(DATABASE)
            .fetch_optional(&mut connection)
            .await
            .map_err(not_ready)?;
        if found.is_none() {
            sqlx::query("CREATE DATABASE convoke").execute(&mut connection).await.map_err(not_ready)?;
        }
        connection.close().await.map_err(not_ready)
    }
}

/// Options for the server of another process that owns the data directory, if that server answers now.
pub async fn join(data_dir: &Path) -> Result<PgConnectOptions, EmbeddedError> {
    let place = DataDir::prepare(&absolute(data_dir)?)?;
    let options = options(&place.socket_folder()?);
    match with_timeout(JOIN_ANSWER, options.connect()).await {
        Ok(_) => Ok(options),
        Err(source) => Err(EmbeddedError::NotReady { log: place.logs(), source }),
    }
}

fn options(socket_folder: &Path) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(socket_folder)
        .port(5432)
        .username(SUPERUSER)
        .database(DATABASE)
        .ssl_mode(PgSslMode::Disable)
}

async fn start_until_ready(
    binaries: &PostgresBinaries,
    place: &DataDir,
    settings: &[String],
    options: &PgConnectOptions,
) -> Result<ServerProcess, EmbeddedError> {
    let begun = Instant::now();
    let mut process = ServerProcess::start(binaries, place, settings).await?;
    let maintenance = options.clone().database("postgres");
    loop {
        if let Some(output) = process.ended(place) {
            if process::passes_by_itself(&output) && begun.elapsed() < process::patience_with_leftovers() {
                sleep(POLL * 10).await;
                process::end_leftovers(&place.data(), begun.elapsed());
                process = ServerProcess::start(binaries, place, settings).await?;
                continue;
            }
            return Err(EmbeddedError::NotStarted { log: place.logs(), output });
        }
        match maintenance.connect().await {
            Ok(connection) => {
                // It has answered: that its closing failed would show at the next connection.
                let _ = connection.close().await;
                return Ok(process);
            }
            Err(source) if begun.elapsed() > START_PATIENCE => {
                process.stop().await;
                return Err(EmbeddedError::NotReady { log: place.logs(), source });
            }
            Err(_) => sleep(POLL).await,
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, EmbeddedError> {
    std::path::absolute(path).map_err(errors::at(path))
}
