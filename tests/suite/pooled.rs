//! A real PgBouncer in transaction mode between servers and database, as `deploy/pgbouncer/pgbouncer.ini` configures it.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use convoke::database::pool::{self, Pool};
use convoke::database::tenant;
use convoke::ids::TenantId;
use convoke::security::grants::Grants;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Executor as _, Row as _};
use tokio::process::Command;

use crate::harness::pooler::{Pooler, SERVES_THROUGH, THROUGH};
use crate::harness::{Run, Server, TestDb, database_config, eventually, tokens};

const PATIENCE: Duration = Duration::from_secs(60);

/// The test of the API, beside others.
const TOO_LONG: Duration = Duration::from_secs(600);

/// Callers at once.
const CALLERS: usize = 1_000;
/// Connections of each of two servers to the pooler; a few less than its thousand, for those who look.
const CONNECTIONS: u32 = 240;
/// What the pooler may have at the database.
const AT_THE_DATABASE: i32 = 20;

fn through(pooler: &Pooler, db: &TestDb) -> Run {
    tokens::accepted_by(Run::on(db)).with("DATABASE_POOLER_URL", &pooler.url(&db.options))
}

async fn room(server: &Server, name: &str) -> String {
    let made = post(server, "/v1/rooms", &json!({ "name": name })).await;
    made.json::<Value>().await.unwrap()["room"].as_str().unwrap().to_owned()
}

async fn post(server: &Server, path: &str, body: &Value) -> reqwest::Response {
    let token = tokens::of("dev", None, Grants::everything());
    server.client.post(format!("{}{path}", server.url)).bearer_auth(token).json(body).send().await.unwrap()
}

/// The test of the API once more, in a process of its own whose servers go through a pooler.
#[tokio::test]
async fn the_whole_test_of_the_api_passes_through_the_pooler() {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["api::", "--test-threads=2", "--nocapture"]).env(THROUGH, "1").stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(TOO_LONG, again.output()).await.expect("it ends").unwrap();
    let (said, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{said} {errors}");
    // Each of them has found its database behind the pooler, or it would not have started.
    let servers = said.matches(SERVES_THROUGH).count();
    assert!(servers > 40 && said.contains("test result: ok."), "{servers} servers: {said}");
}

/// Connections of clients, and of the pooler to the database, as it says.
async fn connections(pooler: &Pooler, database: &str) -> (i32, i32) {
    let rows = sqlx::raw_sql("SHOW POOLS").fetch_all(&pooler.console()).await.unwrap();
    let sum =
        |row: &sqlx::postgres::PgRow, names: &[&str]| names.iter().map(|name| row.get::<i32, _>(name)).sum::<i32>();
    let row = rows.iter().find(|row| row.get::<String, _>("database") == database);
    row.map_or((0, 0), |row| {
        (
            sum(row, &["cl_active", "cl_waiting"]),
            sum(row, &["sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login"]),
        )
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_connections_of_servers_are_twenty_at_the_database() {
    // Whoever waits here waits for a machine with much else to do.
    // The pooler and the callers have a socket for each connection.
    convoke::http::serve::raise_file_limit();
    let (db, pooler) = (TestDb::new().await, Pooler::with("query_wait_timeout = 5", "query_wait_timeout = 60").await);
    let wide = || {
        let sizes = ["CONVOKE_DATABASE_POOL_SIZE", "CONVOKE_DATABASE_READ_POOL_SIZE"];
        sizes
            .into_iter()
            .fold(through(&pooler, &db), |run, name| run.with(name, &CONNECTIONS.to_string()))
            .with("CONVOKE_DATABASE_ACQUIRE_TIMEOUT", "60s")
            .with("CONVOKE_HTTP_REQUEST_TIMEOUT", "2m")
    };
    let servers = [wide().serve().await, wide().serve().await].map(Arc::new);
    let room = room(&servers[0], "crowded").await;
    let done = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|number| {
            let (server, room) = (servers[number % 2].clone(), room.clone());
            tokio::spawn(async move {
                let made = post(&server, "/v1/rooms", &json!({ "name": format!("of-{number}") })).await;
                assert_eq!(made.status(), StatusCode::CREATED, "{}", made.text().await.unwrap());
                let token = tokens::of("dev", None, Grants::everything());
                let list = server.client.get(format!("{}/v1/rooms/{room}/sessions?limit=5", server.url));
                let list = list.bearer_auth(token).send().await.unwrap();
                assert_eq!(list.status(), StatusCode::OK, "{}", list.text().await.unwrap());
            })
        })
        .collect();
    let over = done.clone();
    let database = db.options.get_database().unwrap().to_owned();
    let looking = tokio::spawn(async move {
        let mut most = (0, 0);
        while !over.load(Ordering::Relaxed) {
            let (clients, servers) = connections(&pooler, &database).await;
            most = (most.0.max(clients), most.1.max(servers));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (most, pooler)
    });
    for caller in callers {
        caller.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let ((clients, servers), _pooler) = looking.await.unwrap();
    println!("{clients} connections of servers at once were {servers} at the database");
    assert!(clients > 5 * AT_THE_DATABASE, "{clients} connections are no crowd");
    assert!(0 < servers && servers <= AT_THE_DATABASE, "{servers} connections to the database");
}

/// What holds for a statement.
async fn settings(pool: &Pool) -> Vec<String> {
    let mut found = vec![sqlx::query_scalar("SELECT current_user::text").fetch_one(pool).await.unwrap()];
    for setting in
        ["statement_timeout", "idle_in_transaction_session_timeout", "synchronous_commit", "transaction_isolation"]
    {
        // Through a pooler these prepare statements whose names are the same for each client.
        let asked = sqlx::query_scalar("SELECT current_setting($1)").bind(setting);
        found.push(asked.fetch_one(pool).await.unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_for_a_statement_holds_through_the_pooler_whoever_had_the_connection_before() {
    let db = TestDb::new().await;
    let name = db.options.get_database().unwrap();
    let change = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
    db.owner.execute(sqlx::AssertSqlSafe(change)).await.unwrap();
    let config = database_config();
    let direct = settings(&pool::system(db.options.clone(), &config)).await;
    assert_eq!(direct[..2], ["convoke_system", "30s"]);
    let pooler = Pooler::with("default_pool_size = 20", "default_pool_size = 1").await;
    let made = || pool::pooled(&pooler.way_to(&db.options), db.options.clone(), &config);
    let ((write, read), (other, _)) = (made(), made());
    for pool in [&write, &read, &other, &write, &other, &read] {
        assert_eq!(settings(pool).await, direct);
        // Of one tenant, and gone with its transaction.
        let acme = TenantId::new("acme").unwrap();
        let mut tenants = tenant::begin(pool, &acme).await.unwrap();
        let who = sqlx::query_scalar::<_, String>("SELECT current_user || ' ' || current_setting('convoke.tenant')");
        assert_eq!(who.fetch_one(&mut *tenants).await.unwrap(), "convoke_tenant acme");
        tenants.commit().await.unwrap();
        let left: String = sqlx::query_scalar("SELECT coalesce(current_setting('convoke.tenant', true), '')")
            .fetch_one(pool)
            .await
            .unwrap();
        assert_eq!(left, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_pooler_is_away_callers_are_told_to_come_back_and_then_it_goes_on() {
    let (db, mut pooler) = (TestDb::new().await, Pooler::start().await);
    let server = through(&pooler, &db).with("CONVOKE_DATABASE_ACQUIRE_TIMEOUT", "3s").serve().await;
    let room = room(&server, "lobby").await;
    let path = format!("/v1/rooms/{room}/commands/join");
    pooler.kill();
    let away = post(&server, &path, &json!({ "identity": "early" })).await;
    assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(away.headers().contains_key("retry-after"));
    assert_eq!(server.get("/health/ready").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    pooler.start_again().await;
    eventually("commands are taken again", PATIENCE, async || {
        (post(&server, &path, &json!({ "identity": "late" })).await.status() == StatusCode::OK).then_some(())
    })
    .await;
    eventually("it is ready again", PATIENCE, async || {
        (server.get("/health/ready").await.status() == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_is_of_no_use_is_told_before_a_server_starts() {
    let (db, other) = (TestDb::new().await, TestDb::new().await);
    let (pooler, by_statement) =
        (Pooler::start().await, Pooler::with("pool_mode = transaction", "pool_mode = statement").await);
    let nowhere = format!("postgres://nobody@127.0.0.1:{}/convoke", crate::harness::free_port());
    for (url, told) in [
        (pooler.url(&other.options), "leads to another database than DATABASE_URL does"),
        (by_statement.url(&db.options), "It has to pool transactions (pool_mode = transaction)"),
        (nowhere, "or correct DATABASE_POOLER_URL"),
    ] {
        let run = tokens::accepted_by(Run::on(&db)).with("DATABASE_POOLER_URL", &url);
        let ended = run.args(["serve"]).run().await;
        assert!(ended.status == 1 && ended.stderr.contains(told), "{told}: {ended:?}");
    }
    let alone = tokens::accepted_by(Run::new()).with("DATABASE_POOLER_URL", &pooler.url(&db.options));
    let ended = alone.args(["config", "check"]).run().await;
    assert!(ended.status != 0 && ended.stdout.contains("set DATABASE_URL to the server behind it"), "{ended:?}");
}
