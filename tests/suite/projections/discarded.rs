//! A fresh fold is given up whole: its tables and its progress go together, whenever its process is killed.

use std::process::Stdio;
use std::time::Duration;

use convoke::events::log::EventLog;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::live::{PATIENCE, Workers};
use super::story::Story;
use crate::harness::{Run, TestDb, eventually};

/// A log and read models that have folded it.
async fn folded() -> TestDb {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(21);
    story.go_on(200).write(&log).await;
    let workers = Workers::on(log.clone());
    workers.reach(story.history.len() as u64).await;
    workers.stop().await;
    db
}

async fn verifies(db: &TestDb) {
    let verified = eventually("nobody else is at it", PATIENCE, async || {
        let ended = Run::on(db).args(["projection", "verify"]).run().await;
        (!ended.stderr.contains("another process is at a verify")).then_some(ended)
    })
    .await;
    assert_eq!(verified.status, 0, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_as_its_progress_is_deleted_it_leaves_nothing_that_a_later_one_trips_over() {
    let db = folded().await;
    // Whoever deletes progress waits for this connection.
    let mut held = PgConnection::connect(&db.url).await.unwrap();
    held.execute("SELECT pg_advisory_lock(4711)").await.unwrap();
    db.owner
        .execute(
            "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN OLD; END $$;
             CREATE TRIGGER wait BEFORE DELETE ON convoke.projection_rebuilds FOR EACH ROW EXECUTE FUNCTION public.wait()",
        )
        .await
        .unwrap();
    let run = Run::on(&db).args(["projection", "verify", "rooms"]);
    let mut command = tokio::process::Command::from(run.command());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut verify = command.spawn().unwrap();
    eventually("it deletes its progress", Duration::from_secs(60), async || {
        let waiting = "SELECT count(*) FROM pg_locks
            WHERE NOT granted AND locktype = 'advisory' AND objid = 4711
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(&db.owner).await.unwrap();
        (waiting > 0).then_some(())
    })
    .await;
    verify.kill().await.unwrap();
    // Its statement ends with its connection, or with the lock: either way before anybody else is let in.
    let terminate =
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = 4711
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    db.owner.execute(terminate).await.unwrap();
    held.close().await.unwrap();
    db.owner.execute("DROP TRIGGER wait ON convoke.projection_rebuilds").await.unwrap();
    verifies(&db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_whose_tables_are_gone_is_begun_anew() {
    let db = folded().await;
    for (command, suffix) in [("verify", "__v1"), ("rebuild", "__r1")] {
        let begun = format!(
            "INSERT INTO convoke.projection_rebuilds (name, purpose, suffix, epoch, shape, worker)
             SELECT name, '{command}', '{suffix}', epoch, shape, gen_random_uuid() FROM convoke.projections"
        );
        db.owner.execute(sqlx::AssertSqlSafe(begun)).await.unwrap();
        let ended = Run::on(&db).args(["projection", command]).run().await;
        assert_eq!(ended.status, 0, "{ended:?}");
    }
    verifies(&db).await;
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM convoke.projection_rebuilds").fetch_one(&db.owner).await.unwrap();
    assert_eq!(left, 0);
}
