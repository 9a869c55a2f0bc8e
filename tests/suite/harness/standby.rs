//! A primary of the test's own with a real streaming replica.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use convoke::database::embedded::{Embedded, Launch};
use convoke::database::{migrate, pool};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, PgPool};
use tokio::process::Command;

use super::{Folder, database_config, folder};

/// A primary and its replica. Both end with the value.
pub struct Pair {
    /// As superuser.
    pub primary: PgPool,
    primary_server: Embedded,
    replica_server: Option<Embedded>,
    _primary_folder: Folder,
    replica_folder: Folder,
}

fn launch(folder: &Path) -> Launch {
    let settings = ["fsync=off", "full_page_writes=off", "max_connections=100", "wal_receiver_status_interval=1"];
    Launch {
        data_dir: folder.to_path_buf(),
        postgres_bin: None,
        program_folders: std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect(),
        settings: settings.map(String::from).into(),
    }
}

/// What a process is given.
fn url(options: &PgConnectOptions) -> String {
    let (user, socket) = (options.get_username(), options.get_socket().unwrap().display());
    format!("postgres://{user}@localhost/{}?host={socket}&sslmode=disable", options.get_database().unwrap())
}

impl Pair {
    pub async fn start() -> Self {
        let (primary_folder, replica_folder) = (folder(), folder());
        let primary_server = Embedded::start(&launch(&primary_folder)).await.expect("a primary");
        let primary = pool::owner(primary_server.options().clone(), &database_config());
        migrate::run(&primary).await.expect("the migrations run");
        primary
            .execute(
                "SELECT convoke.ensure_partitions('month', now() - interval '1 month', now() + interval '2 months')",
            )
            .await
            .unwrap();
        let mut pair =
            Self { primary, primary_server, replica_server: None, _primary_folder: primary_folder, replica_folder };
        pair.copy().await;
        pair.start_replica().await;
        pair
    }

    pub fn primary_url(&self) -> String {
        url(self.primary_server.options())
    }

    pub fn replica_url(&self) -> String {
        url(self.replica_server.as_ref().expect("the replica runs").options())
    }

    /// The way to the replica, for who is to come over a wire.
    pub fn replica_options(&self) -> &PgConnectOptions {
        self.replica_server.as_ref().expect("the replica runs").options()
    }

    /// The replica's data, as the primary has them, with where to stream from.
    async fn copy(&self) {
        let bin: String = sqlx::query_scalar("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
            .fetch_one(&self.primary)
            .await
            .unwrap();
        let (place, options) = (self.replica_folder.join("postgres"), self.primary_server.options());
        std::fs::create_dir_all(&place).unwrap();
        // By the user that the primary runs as.
        let owner = std::fs::metadata(options.get_socket().unwrap().join(".s.PGSQL.5432")).unwrap();
        chown(&place, Some(owner.uid()), Some(owner.gid())).unwrap();
        let mut copy = Command::new(PathBuf::from(bin).join("pg_basebackup"));
        copy.arg("-h").arg(options.get_socket().unwrap()).args(["-p", "5432", "-U", options.get_username()]);
        copy.arg("-D").arg(place.join("data")).args(["-R", "-X", "stream", "-c", "fast"]);
        copy.uid(owner.uid()).gid(owner.gid()).current_dir("/").stdin(Stdio::null());
        let ended = copy.output().await.unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }

    pub async fn start_replica(&mut self) {
        let started = Embedded::start(&launch(&self.replica_folder)).await.expect("a replica");
        self.replica_server = Some(started);
    }

    pub async fn stop_replica(&mut self) {
        if let Some(replica) = self.replica_server.take() {
            replica.stop().await;
        }
    }

    /// A statement on the replica.
    pub async fn on_replica(&self, statement: &'static str) {
        let options = self.replica_server.as_ref().expect("the replica runs").options();
        options.connect().await.unwrap().execute(statement).await.unwrap();
    }
}
