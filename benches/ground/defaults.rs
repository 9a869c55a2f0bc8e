//! A PostgreSQL as `initdb` leaves it: nothing is set but where it is reached, and what the operating system's user may do.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use convoke::config::Config;
use convoke::database::{migrate, pool};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::process::{Child, ChildStdin, Command};

use super::{Failure, Postgres};

/// The private server has 5432 in the same folder.
const PORT: u16 = 5433;
const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// Stops the server once our end of the pipe is closed, however that came about.
const GUARD: &str = r#""$@" & server=$!; read -r _; kill -INT "$server"; wait "$server""#;

pub struct DefaultPostgres {
    shell: Child,
    lifeline: Option<ChildStdin>,
    /// Where what belongs to the program may lie.
    pub folder: PathBuf,
    pub url: String,
}

impl DefaultPostgres {
    /// Empty and migrated, beside another: the same programs, the same user, the same disk.
    pub async fn fresh_beside(other: &Postgres) -> Result<Self, Failure> {
        let folder = other.folder.join("defaults");
        std::fs::create_dir_all(&folder)?;
        let theirs = std::fs::canonicalize(other.folder.join("postgres"))?;
        let (data, socket_folder) = (theirs.join("of-defaults"), other.socket_folder());
        init(&other.programs, &theirs, &data).await?;
        let mut command = as_user_of(&theirs, Path::new("/bin/sh"))?;
        command.arg("-c").arg(GUARD).arg("postgres").arg(other.programs.join("postgres")).arg("-D").arg(&data);
        command.arg("-p").arg(PORT.to_string()).arg("-k").arg(socket_folder).args(["-c", "listen_addresses="]);
        let log = std::fs::File::create(folder.join("postgres.log"))?;
        let mut shell = command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let lifeline = shell.stdin.take();
        let url =
            format!("postgres://postgres@localhost:{PORT}/convoke?host={}&sslmode=disable", socket_folder.display());
        let server = Self { shell, lifeline, folder, url };
        server.make_database().await?;
        Ok(server)
    }

    async fn make_database(&self) -> Result<(), Failure> {
        let options: PgConnectOptions = self.url.parse()?;
        let begun = Instant::now();
        let mut connection = loop {
            match options.clone().database("postgres").connect().await {
                Ok(connection) => break connection,
                Err(error) if begun.elapsed() > START_PATIENCE => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        connection.execute("CREATE DATABASE convoke").await?;
        connection.close().await?;
        let owner = pool::owner(options, &Config::load()?.database);
        migrate::run(&owner).await?;
        owner.close().await;
        Ok(())
    }

    pub async fn stop(mut self) -> Result<(), Failure> {
        drop(self.lifeline.take());
        tokio::time::timeout(STOP_PATIENCE, self.shell.wait()).await??;
        Ok(())
    }
}

/// With the locale of most machines; a private server has `C`.
async fn init(programs: &Path, folder: &Path, data: &Path) -> Result<(), Failure> {
    let mut command = as_user_of(folder, &programs.join("initdb"))?;
    command.arg("--pgdata").arg(data).args(["--username=postgres", "--auth=trust"]).stdin(Stdio::null());
    let output = command.output().await?;
    if !output.status.success() {
        return Err(format!("initdb fails: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}

/// PostgreSQL refuses to run as root.
fn as_user_of(folder: &Path, program: &Path) -> Result<Command, Failure> {
    let owner = std::fs::metadata(folder)?;
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").current_dir(folder);
    if owner.uid() != rustix::process::geteuid().as_raw() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    Ok(command)
}
