//! The database: rights of the pools, migrations.

use sqlx::Executor as _;

use crate::harness::TestDb;

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
