//! A database for one test.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use convoke::config::{Config, DatabaseConfig};
use convoke::database::pool::{self, Pool};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgPool};

use super::shared_server::{OWNER, SharedServer, TEMPLATE, shared_server};

/// A database of its own on the shared server: migrated, with partitions for last month and the next two, an epoch of its
/// own. Dropped with the value.
pub struct TestDb {
    /// What a process is given as `DATABASE_URL`; as the database's owner, who is no superuser.
    pub url: String,
    /// The same for this process.
    pub options: PgConnectOptions,
    /// With the rights of the running program.
    pub system: Pool,
    /// With the rights of the owner: migrations, and a hand behind the program's back.
    pub owner: PgPool,
    name: String,
}

impl TestDb {
    pub async fn new() -> Self {
        let db = Self::make(&format!("TEMPLATE {TEMPLATE}")).await;
        db.owner.execute("SELECT convoke.fence()").await.expect("an epoch of its own");
        db
    }

    /// Without a schema.
    pub async fn empty() -> Self {
        Self::make("").await
    }

    async fn make(how: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = shared_server();
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        create(server, &name, how).await.expect("a database for the test");
        let options = server.superuser.clone().username(OWNER).database(&name);
        let config = database_config();
        let socket = server.socket_folder();
        let url = format!("postgres://{OWNER}@localhost/{name}?host={socket}&sslmode=disable");
        let system = pool::system(options.clone(), &config);
        let owner = pool::owner(options.clone(), &config);
        Self { url, options, system, owner, name }
    }

    /// What a backup of now would bring back.
    pub async fn copy(&self) -> Self {
        let mut connection = shared_server().superuser.connect().await.unwrap();
        // A database that somebody is in cannot be copied.
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1")
            .bind(&self.name)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        Self::make(&format!("TEMPLATE {}", self.name)).await
    }

    /// For what only a superuser may do.
    pub fn superuser(&self) -> PgConnectOptions {
        shared_server().superuser.clone().database(&self.name)
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let name = self.name.clone();
        // The test's runtime may be ending: the database is dropped by another.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(drop_database(&name))
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("a test's database was not dropped: {error}");
        }
    }
}

/// The defaults, as the program has them.
pub fn database_config() -> DatabaseConfig {
    Config::from_environment(&HashMap::new()).expect("the defaults are a configuration").database
}

async fn create(server: &SharedServer, name: &str, how: &str) -> sqlx::Result<()> {
    let mut connection = server.superuser.connect().await?;
    let statement = format!("CREATE DATABASE {name} {how} OWNER {OWNER}");
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement))).await?;
    connection.close().await
}

async fn drop_database(name: &str) -> sqlx::Result<()> {
    let mut connection = shared_server().superuser.connect().await?;
    let statement = format!("DROP DATABASE {name} WITH (FORCE)");
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement))).await?;
    connection.close().await
}
