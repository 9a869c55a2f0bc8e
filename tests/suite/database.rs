//! The database: rights of the pools, migrations.

use convoke::database::pool;
use sqlx::Executor as _;

use crate::harness::{TestDb, database_config};

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
