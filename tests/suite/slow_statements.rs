//! A statement that takes too long is told, with what the request was about and without anybody's words, and counted.

use std::time::Duration;

use convoke::security::grants::Grants;
use serde_json::json;
use sqlx::Executor as _;

use crate::harness::{Run, TestDb, eventually, tokens};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_statement_is_logged_with_its_shape_and_counted() {
    let db = TestDb::new().await;
    let run = tokens::accepted_by(Run::on(&db)).with("CONVOKE_DATABASE_SLOW_STATEMENT", "300ms");
    let server = run.serve().await;
    let count = async || {
        let metrics = server.get("/metrics").await.text().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("convoke_slow_statements_total ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let token = tokens::of("dev", None, Grants::everything());
    let mut held = db.owner.begin().await.unwrap();
    held.execute("SELECT position FROM convoke.log_head FOR UPDATE").await.unwrap();
    let request = server.client.post(format!("{}/v1/rooms", server.url)).bearer_auth(token);
    let asked = tokio::spawn(request.json(&json!({ "name": "a-name-of-theirs" })).send());
    // The append stands behind the lock for longer than is allowed.
    let waits = "SELECT max(clock_timestamp() - query_start) > interval '500 ms' FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("the append waits", PATIENCE, async || {
        let waits: Option<bool> = sqlx::query_scalar(waits).fetch_one(&db.owner).await.unwrap();
        waits.filter(|waits| *waits)
    })
    .await;
    held.rollback().await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap().status(), 201);
    assert!(count().await >= 1);
    let log = server.log();
    let told = log.lines().filter(|line| line.contains("slow statement")).count();
    assert!(told >= 1 && log.contains("convoke.append"), "{log}");
    assert!(!log.contains("a-name-of-theirs"), "{log}");
}
