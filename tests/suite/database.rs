//! The database: rights of the pools, migrations.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use convoke::config::DatabaseConfig;
use convoke::database::pool::{self, Pool};
use convoke::database::{embedded, tenant};
use convoke::ids::TenantId;
use sqlx::{ConnectOptions as _, Executor as _, Row as _};

use crate::harness::pooler::Pooler;
use crate::harness::standby::Replicated;
use crate::harness::{Run, TestDb, database_config, postgres};

#[tokio::test]
async fn the_program_may_read_the_log_and_not_change_it() {
    let db = TestDb::new().await;
    let head: i64 = sqlx::query_scalar("SELECT position FROM convoke.log_head").fetch_one(&db.system).await.unwrap();
    assert_eq!(head, 0);
    for statement in [
        "DELETE FROM convoke.log",
        "UPDATE convoke.log_head SET position = 1",
        "TRUNCATE convoke.log",
        "DROP SCHEMA convoke",
    ] {
        let error = db.system.execute(statement).await.expect_err(statement);
        let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
    }
}

/// A run of the tests on another version must not pass on the installed one by mistake.
#[tokio::test]
async fn all_servers_of_the_tests_are_of_the_version_that_was_asked_for() {
    let (db, replicated, run) = (TestDb::new().await, Replicated::start(1).await, Run::new());
    let _server = run.clone().serve().await;
    let private = embedded::join(&run.folder.join(".convoke")).await.unwrap();
    let mut found = BTreeSet::new();
    for server in [&db.options, replicated.options(), replicated.replicas[0].options(), &private] {
        let mut connection = server.connect().await.unwrap();
        found.insert(sqlx::query_scalar::<_, String>("SHOW server_version").fetch_one(&mut connection).await.unwrap());
    }
    let found: Vec<_> = found.iter().map(String::as_str).collect();
    let [version] = found[..] else { panic!("servers of several versions: {found:?}") };
    if let Some(wanted) = postgres::version_asked_for() {
        // `18` and `18.6` are both 18.6, and neither is 18.61.
        assert!(format!("{version}.").starts_with(&format!("{wanted}.")), "asked for {wanted}, got {version}");
    }
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let db = TestDb::new().await;
    let applied = convoke::database::migrate::run(&db.owner).await.unwrap();
    assert!(applied.is_empty(), "{applied:?}");
}

#[tokio::test]
async fn what_is_answered_is_durable_and_decided_on_the_newest_whatever_the_server_does_for_others() {
    let db = TestDb::new().await;
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&db.owner).await.unwrap();
    let config = database_config();
    for (setting, theirs, ours) in [
        ("synchronous_commit", "off", "on"),
        ("default_transaction_isolation", "serializable", "read committed"),
        // A process that is no more keeps no lock.
        ("idle_in_transaction_session_timeout", "0", "1min"),
    ] {
        let change = format!("ALTER DATABASE {name} SET {setting} = '{theirs}'");
        db.owner.execute(sqlx::AssertSqlSafe(change)).await.unwrap();
        for (pool, wanted) in [
            (pool::owner(db.options.clone(), &config).into(), theirs),
            (pool::system(db.options.clone(), &config), ours),
        ] {
            let found: String =
                sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&pool).await.unwrap();
            assert_eq!(found, wanted);
        }
    }
}

/// Whose rights a statement by itself has, and whether it is a transaction by itself.
async fn alone(pool: &Pool) -> (String, bool) {
    let asked = sqlx::raw_sql("SELECT current_user::text, now() = statement_timestamp()");
    let row = asked.fetch_one(pool).await.unwrap();
    (row.get(0), row.get(1))
}

/// Polls it so often and lets it go.
async fn given_up(steps: usize, work: impl Future) {
    let (mut work, mut left) = (pin!(work), steps);
    poll_fn(|context| {
        if left == 0 || work.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        Poll::Pending
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_gives_up_a_transaction_leaves_nobody_inside_it() {
    let (db, tenant) = (TestDb::new().await, TenantId::new("acme").unwrap());
    let pool = pool::system(db.options.clone(), &DatabaseConfig { pool_size: 1, ..database_config() });
    let outside = ("convoke_system".to_owned(), true);
    for steps in 0..8 {
        given_up(steps, tenant::begin(&pool, &tenant)).await;
        assert_eq!(alone(&pool).await, outside, "given up at step {steps} of its beginning");
        let work = async {
            let mut transaction = tenant::begin(&pool, &tenant).await.unwrap();
            sqlx::query("SELECT pg_sleep(0.001)").execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        };
        given_up(steps, work).await;
        assert_eq!(alone(&pool).await, outside, "given up at step {steps}");
    }
    drop(tenant::begin(&pool, &tenant).await.unwrap());
    assert_eq!(alone(&pool).await, outside, "let go");
    pool.begin_with("", "SET LOCAL ROLE nobody_at_all").await.expect_err("no such role");
    assert_eq!(alone(&pool).await, outside, "it failed as it began");
    let mut failing = pool.begin().await.unwrap();
    sqlx::query("SELECT 1 / 0").execute(&mut *failing).await.expect_err("division by zero");
    drop(failing);
    assert_eq!(alone(&pool).await, outside, "it failed in the middle");
}

/// What only whoever runs the server can set is told, at the start and when asked.
#[tokio::test]
async fn a_database_that_is_not_set_up_well_is_told() {
    let db = TestDb::new().await;
    let check = || Run::on(&db).args(["config", "check", "--json"]).run();
    let told: serde_json::Value = serde_json::from_str(&check().await.stdout).unwrap();
    // As the server of the tests is.
    let warnings = told["warnings"].as_array().unwrap();
    assert!(warnings.iter().any(|warning| warning.as_str().unwrap().starts_with("fsync = off: ")), "{told}");
    assert!(warnings.iter().all(|warning| !warning.as_str().unwrap().contains("jit")), "{told}");

    let name = db.options.get_database().unwrap();
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    db.owner.execute(sqlx::AssertSqlSafe(read_only)).await.unwrap();
    let ended = check().await;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.stdout.contains("default_transaction_read_only = on"), "{ended:?}");
    let ended = Run::on(&db).args(["serve"]).run().await;
    assert_eq!(ended.status, 1, "{ended:?}");
}

/// Limits that a database or a role has for others are not for the program's own sessions.
#[tokio::test]
async fn sessions_have_their_own_settings_whatever_the_database_has() {
    let db = TestDb::new().await;
    let name = db.options.get_database().unwrap();
    let wanted = [
        ("jit", "on", "off"),
        ("enable_seqscan", "on", "off"),
        ("enable_sort", "on", "off"),
        ("plan_cache_mode", "auto", "force_generic_plan"),
        ("lock_timeout", "7", "0"),
        ("idle_session_timeout", "777777", "0"),
        ("synchronous_commit", "off", "on"),
        ("default_transaction_isolation", "serializable", "read committed"),
    ];
    for (setting, theirs, _) in wanted {
        let statement = format!("ALTER DATABASE {name} SET {setting} = '{theirs}'");
        db.owner.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
    let config = database_config();
    let pooler = Pooler::start().await;
    let pools = [
        ("direct", convoke::database::pool::system(db.options.clone(), &config)),
        ("for reads", convoke::database::pool::reading(db.options.clone(), &config)),
        ("pooled", convoke::database::pool::pooled(&pooler.way_to(&db.options), db.options.clone(), &config).0),
    ];
    for (how, pool) in pools {
        for (setting, _, ours) in wanted {
            // These two are the session's, which is the pooler's there; each transaction says its isolation.
            if how == "pooled" && matches!(setting, "idle_session_timeout" | "default_transaction_isolation") {
                continue;
            }
            let value: String =
                sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&pool).await.unwrap();
            assert_eq!(value, ours, "{how}: {setting}");
        }
    }
}
