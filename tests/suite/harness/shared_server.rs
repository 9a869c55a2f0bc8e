//! One PostgreSQL for all tests of this process, with a template database that has the schema and the partitions of now.
//! It forgets what it was told when the machine dies (fsync off); tests of durability start servers of their own.

use std::sync::OnceLock;

use convoke::database::embedded::Embedded;
use convoke::database::{migrate, pool};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::folder::{Folder, folder};
use super::postgres;
use super::test_db::database_config;

/// Owns the databases of the tests; no superuser, as where PostgreSQL is rented.
pub const OWNER: &str = "convoke_owner";
pub const TEMPLATE: &str = "convoke_template";

pub struct SharedServer {
    /// As superuser, to the database `postgres`.
    pub superuser: PgConnectOptions,
    folder: Folder,
}

impl SharedServer {
    pub fn socket_folder(&self) -> String {
        self.folder.join("postgres").display().to_string()
    }
}

pub fn shared_server() -> &'static SharedServer {
    static SERVER: OnceLock<SharedServer> = OnceLock::new();
    SERVER.get_or_init(|| {
        let (tell, told) = std::sync::mpsc::channel();
        // The server belongs to a runtime that lives as long as the process, not to that of the first test.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let (server, embedded) = start().await;
                tell.send(server).expect("the test that started the server waits for it");
                let forever = tokio_util::sync::CancellationToken::new();
                embedded.keep_running(&forever).await.expect("the server of the tests stays up");
            });
        });
        told.recv().expect("the server of the tests starts")
    })
}

async fn start() -> (SharedServer, Embedded) {
    let folder = folder();
    let settings = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"];
    let embedded = Embedded::start(&postgres::launch(&folder, &settings)).await.expect("a PostgreSQL for the tests");
    let superuser = embedded.options().clone().database("postgres");
    make_template(&superuser).await.expect("a template for the databases of the tests");
    (SharedServer { superuser, folder }, embedded)
}

async fn make_template(superuser: &PgConnectOptions) -> sqlx::Result<()> {
    let mut connection = superuser.connect().await?;
    connection.execute("CREATE ROLE convoke_owner LOGIN CREATEROLE CREATEDB").await?;
    connection.execute("CREATE DATABASE convoke_template OWNER convoke_owner").await?;
    let template = superuser.clone().username(OWNER).database(TEMPLATE);
    let owner = pool::owner(template, &database_config());
    migrate::run(&owner).await.expect("the migrations run");
    owner
        .execute("SELECT convoke.ensure_partitions('month', now() - interval '1 month', now() + interval '2 months')")
        .await?;
    owner.close().await;
    connection.close().await
}
