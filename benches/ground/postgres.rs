//! A PostgreSQL of the benchmark's own, started as `convoke serve` starts its private one: `fsync` and
//! `synchronous_commit` on. Its data lies under `target/`, on the disk that is measured.

use std::path::{Path, PathBuf};

use convoke::config::{Config, DatabaseConfig};
use convoke::database::embedded::{Embedded, Launch};
use convoke::database::{migrate, pool};
use sqlx::PgPool;

use super::Failure;

pub struct Postgres {
    server: Embedded,
    pub folder: PathBuf,
    socket_folder: PathBuf,
    pub programs: PathBuf,
}

impl Postgres {
    /// Empty and migrated.
    pub async fn fresh(name: &str) -> Result<Self, Failure> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench").join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let config = Config::load()?;
        let launch = Launch {
            data_dir: folder.clone(),
            postgres_bin: config.database.postgres_bin.clone(),
            program_folders: config.database.program_folders.clone(),
            settings: Vec::new(),
        };
        let server = Embedded::start(&launch).await?;
        let socket_folder = server.options().get_socket().ok_or("the private server has a Unix socket")?.clone();
        let mut postgres = Self { server, folder, socket_folder, programs: PathBuf::new() };
        let owner = postgres.owner().await?;
        migrate::run(&owner).await?;
        let programs: String =
            sqlx::query_scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetch_one(&owner).await?;
        postgres.programs = programs.into();
        Ok(postgres)
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
