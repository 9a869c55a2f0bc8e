//! A primary of the test's own with real streaming replicas.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use convoke::database::embedded::{Embedded, LaunchOptions};
use convoke::database::{migrate, pool};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _, PgPool};

use super::{Folder, base_backup, database_config, folder, postgres};

/// A primary and its replicas. They end with the value.
pub struct Replicated {
    /// As superuser.
    pub primary: PgPool,
    pub replicas: Vec<Replica>,
    server: Embedded,
    settings: &'static [&'static str],
    _folder: Folder,
}

pub struct Replica {
    /// `None`: it is stopped.
    server: Option<Embedded>,
    settings: &'static [&'static str],
    folder: Folder,
}

fn launch(folder: &Path, more: &[&str]) -> LaunchOptions {
    let settings = ["fsync=off", "full_page_writes=off", "max_connections=100", "wal_receiver_status_interval=1"];
    let settings: Vec<&str> = settings.iter().chain(more).copied().collect();
    postgres::launch(folder, &settings)
}

/// What a process is given.
fn url(options: &PgConnectOptions) -> String {
    let (user, socket) = (options.get_username(), options.get_socket().unwrap().display());
    format!("postgres://{user}@localhost/{}?host={socket}&sslmode=disable", options.get_database().unwrap())
}

impl Replicated {
    /// With so many replicas.
    pub async fn start(replicas: usize) -> Self {
        Self::with(replicas, &[]).await
    }

    /// With settings of the servers' own.
    pub async fn with(replicas: usize, settings: &'static [&'static str]) -> Self {
        let folder = folder();
        let server = Embedded::start(&launch(&folder, settings)).await.expect("a primary");
        let primary = pool::owner(server.options().clone(), &database_config());
        migrate::run(&primary).await.expect("the migrations run");
        primary
            .execute(
                "SELECT convoke.ensure_partitions('month', now() - interval '1 month', now() + interval '2 months')",
            )
            .await
            .unwrap();
        let mut replicated = Self { primary, replicas: Vec::new(), server, settings, _folder: folder };
        for _ in 0..replicas {
            let mut replica = replicated.copy().await;
            replica.start().await;
            replicated.replicas.push(replica);
        }
        replicated
    }

    pub fn url(&self) -> String {
        url(self.options())
    }

    /// The way to the primary.
    pub fn options(&self) -> &PgConnectOptions {
        self.server.options()
    }

    /// One with the primary's data and where to stream on from.
    async fn copy(&self) -> Replica {
        let (folder, options) = (folder(), self.options());
        let place = folder.join("postgres");
        std::fs::create_dir_all(&place).unwrap();
        base_backup::copy(options, &place.join("data")).await;
        // For the user that the primary runs as.
        let owner = std::fs::metadata(options.get_socket().unwrap().join(".s.PGSQL.5432")).unwrap();
        base_backup::give(&place, owner.uid(), owner.gid());
        Replica { server: None, settings: self.settings, folder }
    }
}

impl Replica {
    pub async fn start(&mut self) {
        let started = Embedded::start(&launch(&self.folder, self.settings)).await.expect("a replica");
        self.server = Some(started);
    }

    pub async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    pub fn url(&self) -> String {
        url(self.options())
    }

    /// The way to it, while it runs.
    pub fn options(&self) -> &PgConnectOptions {
        self.server.as_ref().expect("the replica runs").options()
    }

    /// A statement by a superuser.
    pub async fn execute(&self, statement: &'static str) {
        self.options().connect().await.unwrap().execute(statement).await.unwrap();
    }
}
