//! A PostgreSQL of the benchmark's own, started as `convoke serve` starts its private one: `fsync` and
//! `synchronous_commit` on. Its data lies under `target/`, on the disk that is measured.

use std::path::{Path, PathBuf};

use convoke::config::{Config, DatabaseConfig};
use convoke::database::embedded::{Embedded, Launch};
use convoke::database::{migrate, pool};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use super::Failure;

pub struct Postgres {
    server: Embedded,
    pub folder: PathBuf,
    socket_folder: PathBuf,
    pub programs: PathBuf,
}

impl Postgres {
    /// Where their folders lie.
    pub fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench")
    }

    /// Empty and migrated.
    pub async fn fresh(name: &str) -> Result<Self, Failure> {
        Self::fresh_with(name, &[]).await
    }

    /// The same, with settings over the program's own.
    pub async fn fresh_with(name: &str, settings: &[&str]) -> Result<Self, Failure> {
        let folder = Self::root().join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let mut postgres = Self::start(folder, settings).await?;
        let owner = postgres.owner().await?;
        migrate::run(&owner).await?;
        let programs: String =
            sqlx::query_scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetch_one(&owner).await?;
        postgres.programs = programs.into();
        owner.close().await;
        Ok(postgres)
    }

    async fn start(folder: PathBuf, settings: &[&str]) -> Result<Self, Failure> {
        let config = Config::load()?;
        let launch = Launch {
            data_dir: folder.clone(),
            postgres_bin: config.database.postgres_bin.clone(),
            program_folders: config.database.program_folders.clone(),
            settings: settings.iter().copied().map(String::from).collect(),
        };
        let server = Embedded::start(&launch).await?;
        let socket_folder = server.options().get_socket().ok_or("the private server has a Unix socket")?.clone();
        Ok(Self { server, folder, socket_folder, programs: PathBuf::new() })
    }

    /// Again, with the program's own settings.
    pub async fn restart(self) -> Result<Self, Failure> {
        let Self { server, folder, programs, .. } = self;
        server.stop().await;
        // It holds the folder's lock.
        drop(server);
        Ok(Self { programs, ..Self::start(folder, &[]).await? })
    }

    pub fn options(&self) -> &PgConnectOptions {
        self.server.options()
    }

    /// As superuser.
    pub async fn owner(&self) -> Result<PgPool, Failure> {
        Ok(pool::owner(self.server.options().clone(), &Self::database_config()?))
    }

    fn database_config() -> Result<DatabaseConfig, Failure> {
        Ok(Config::load()?.database)
    }

    pub fn url(&self) -> String {
        let options = self.server.options();
        let (user, database) = (options.get_username(), options.get_database().unwrap_or("postgres"));
        format!("postgres://{user}@localhost/{database}?host={}&sslmode=disable", self.socket_folder.display())
    }

    pub fn socket_folder(&self) -> &Path {
        &self.socket_folder
    }

    pub fn user(&self) -> &str {
        self.server.options().get_username()
    }

    pub fn database(&self) -> &str {
        self.server.options().get_database().unwrap_or("postgres")
    }

    pub async fn stop(self) {
        self.server.stop().await;
    }
}
