//! Hands that reach behind the program's back.

use sqlx::Executor as _;

use super::{log_of, room, write};
use crate::harness::TestDb;

#[tokio::test]
async fn not_even_the_owner_changes_or_deletes_what_happened() {
    let db = TestDb::new().await;
    write(&log_of(&db), &room(), 1).await;
    let partition: String = sqlx::query_scalar("SELECT name FROM convoke.log_partitions WHERE first_position = 1")
        .fetch_one(&db.owner)
        .await
        .unwrap();
    for table in ["log", partition.as_str()] {
        for statement in ["UPDATE convoke.{} SET actor = 'x'", "DELETE FROM convoke.{}", "TRUNCATE convoke.{}"] {
            let statement = statement.replace("{}", table);
            let error = db.owner.execute(sqlx::AssertSqlSafe(statement.clone())).await.expect_err(&statement);
            assert!(error.to_string().contains("append-only"), "{statement}: {error}");
        }
    }
}
