//! A batch that is not written, while the next one is decided already on what it would have led to.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sqlx::{Executor as _, Postgres, Transaction};
use tokio::process::Command;

use super::{content, import, many};
use crate::harness::{Run, TestDb, eventually, folder};

const SOON: Duration = Duration::from_secs(60);
const SETS: usize = 6;

/// Batches of sixteen lines: one in about two hundred is on its way while the next is decided.
fn in_small_batches(run: Run) -> Run {
    run.with("CONVOKE_LOG_APPEND_BATCH", "1")
}

fn kept_in_time(db: &TestDb, file: &Path) -> Run {
    import(db, file).args(["--recorded-as-occurred"])
}

fn of_the_whole(report: &Value) -> Vec<&Value> {
    ["done", "lines", "applied", "unchanged", "repeated", "refused", "events"].map(|part| &report[part]).to_vec()
}

/// Activity of many rooms, and again and again a name that is taken, one that is let go, and keys that were used: what only the
/// append finds out.
fn contended() -> String {
    let mut lines = String::new();
    for (number, line) in many(SETS).lines().enumerate() {
        lines.push_str(line);
        lines.push('\n');
        let at = &line[line.find("20").unwrap()..][..20];
        let mut also = |room: &str, command: &str, data: &str, key: &str| {
            lines.push_str(&format!(
                "{{\"occurred_at\":\"{at}\",\"room\":\"{room}\",\"command\":\"{command}\",\"data\":{data}{key}}}\n"
            ));
        };
        match number % 30 {
            3 => also(&format!("standup {number}"), "create-room", "{\"name\":\"standup\"}", ""),
            13 => also(&format!("second {number}"), "create-room", "{\"name\":\"standup\"}", ""),
            23 => also(
                "locked",
                if number < 30 { "create-room" } else { "lock-room" },
                "{}",
                ",\"idempotency_key\":\"k\"",
            ),
            // The other half of the time somebody has it still.
            29 if number % 60 == 29 => also(&format!("standup {}", number - 26), "end-room", "{}", ""),
            _ => {}
        }
    }
    lines
}

#[tokio::test]
async fn names_and_keys_that_were_taken_in_the_batch_before_come_to_the_same_as_in_one_batch() {
    let folder = folder();
    let file = folder.join("lines");
    std::fs::write(&file, contended()).unwrap();
    let (one, small) = (TestDb::new().await, TestDb::new().await);
    let contended = |db: &TestDb| kept_in_time(db, &file).args(["--allow-refused", "1000"]);
    let whole = contended(&one).json().await;
    let parted = in_small_batches(contended(&small)).json().await;
    assert!(whole["refused"]["room-name-taken"]["lines"].as_u64() > Some(50), "{whole}");
    assert_eq!(of_the_whole(&parted), of_the_whole(&whole));
    assert_eq!(content(&small).await, content(&one).await);
}

#[tokio::test]
async fn a_batch_that_fails_leaves_nothing_of_the_next_one_and_the_import_goes_on_to_the_same() {
    let folder = folder();
    let file = folder.join("lines");
    std::fs::write(&file, many(SETS)).unwrap();
    let (db, quiet) = (TestDb::new().await, TestDb::new().await);
    // A sequence counts on where its transaction is rolled back.
    db.owner
        .execute(sqlx::raw_sql(
            "CREATE SEQUENCE public.batches;
             GRANT USAGE ON public.batches TO PUBLIC;
             CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('public.batches') IN (1, 4, 5, 20) THEN
                     RAISE EXCEPTION 'the disk is full' USING ERRCODE = 'disk_full';
                 END IF;
                 RETURN NEW;
             END
             $$;
             CREATE TRIGGER fails BEFORE INSERT OR UPDATE ON convoke.intake_progress
                 FOR EACH ROW EXECUTE FUNCTION public.fails();",
        ))
        .await
        .unwrap();
    let mut failed = 0;
    let report = loop {
        let ended = in_small_batches(kept_in_time(&db, &file)).run().await;
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["lines"], done(&db).await, "the report is of what is durable");
        if ended.status == 0 {
            break report;
        }
        assert!(ended.stderr.contains("the disk is full"), "{ended:?}");
        failed += 1;
    };
    assert_eq!(failed, 4);
    let whole = kept_in_time(&quiet, &file).json().await;
    assert_eq!(of_the_whole(&report), of_the_whole(&whole));
    assert_eq!(content(&db).await, content(&quiet).await);
}

async fn done(db: &TestDb) -> i64 {
    let done = "SELECT coalesce(max(done), 0) FROM convoke.intake_progress";
    sqlx::query_scalar(done).fetch_one(&db.system).await.unwrap()
}

/// The head row's lock, without which nothing is written.
async fn locked(db: &TestDb) -> Transaction<'static, Postgres> {
    let mut lock = db.owner.begin().await.unwrap();
    lock.execute("SELECT 1 FROM convoke.log_head FOR UPDATE").await.unwrap();
    lock
}

async fn a_batch_waits(db: &TestDb) {
    let waits = "SELECT count(*) > 0 FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%convoke.append(%'";
    eventually("a batch waits", SOON, async || {
        let waits: bool = sqlx::query_scalar(waits).fetch_one(&db.owner).await.unwrap();
        waits.then_some(())
    })
    .await;
}

#[tokio::test]
async fn killed_with_a_batch_on_its_way_and_the_next_one_decided_it_goes_on_to_the_same() {
    let folder = folder();
    let file = folder.join("lines");
    std::fs::write(&file, many(SETS)).unwrap();
    let (db, quiet) = (TestDb::new().await, TestDb::new().await);
    // The present as recorded time: nothing but the progress tells how far it had come.
    let run = in_small_batches(import(&db, &file));
    for _kill in 0..5 {
        let before = done(&db).await;
        let mut lock = locked(&db).await;
        let mut command = Command::from(run.command());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        // One after another is let through, until some are written; then the next one waits.
        while done(&db).await < before + 40 {
            a_batch_waits(&db).await;
            lock.commit().await.unwrap();
            lock = locked(&db).await;
        }
        a_batch_waits(&db).await;
        child.kill().await.unwrap();
        lock.commit().await.unwrap();
    }
    let report = run.json().await;
    let whole = import(&quiet, &file).json().await;
    assert_eq!(of_the_whole(&report), of_the_whole(&whole));
    let events = "SELECT count(*), md5(string_agg(concat_ws('|', position, room, room_version, event_type, command_id,
                      occurred_at, data), ',' ORDER BY position)) FROM convoke.log";
    let events = async |db: &TestDb| -> (i64, String) { sqlx::query_as(events).fetch_one(&db.system).await.unwrap() };
    assert_eq!(events(&db).await, events(&quiet).await);
}
