//! What `convoke archive run` does, and what keeps it from doing it.

use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::{OLD, PATIENCE, attached, past};
use crate::harness::{Run, TestDb, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_tells_what_would_move_and_moves_nothing() {
    let past = past(41, 2, 100).await;
    past.fold().await;
    let before = attached(&past.db).await;
    let told = past.run().args(["archive", "run", "--dry-run", "--json", "--older-than", OLD]).json().await;
    let would: Vec<_> =
        told["moves"].as_array().unwrap().iter().map(|one| one["partition"].as_str().unwrap()).collect();
    assert_eq!(would, ["log_20240101", "log_20240201"]);
    let events: u64 = told["moves"].as_array().unwrap().iter().map(|one| one["events"].as_u64().unwrap()).sum();
    let old = "SELECT count(*) FROM convoke.log WHERE recorded_at < '2024-03-01Z'";
    let counted: i64 = sqlx::query_scalar(old).fetch_one(&past.db.owner).await.unwrap();
    assert_eq!(events, counted.cast_unsigned());
    assert!(told["moves"][0]["bytes"].as_u64().unwrap() > 8_192, "{told}");
    assert_eq!(told["moved"], Value::Array(Vec::new()));
    assert_eq!((attached(&past.db).await, past.files().len()), (before, 0));
    let table = past.run().args(["archive", "run", "--dry-run", "--older-than", OLD]).run().await;
    assert!(table.stdout.contains("log_20240201") && table.stdout.contains("would move"), "{table:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moved_is_listed_with_its_file_and_a_second_run_finds_nothing_to_do() {
    let past = past(42, 2, 100).await;
    past.fold().await;
    let report = past.archive(OLD).await;
    assert_eq!(past.files().len(), 4, "events and rooms of two partitions: {:?}", past.files());
    let listed = past.run().args(["partition", "list", "--json"]).json().await;
    for (listed, moved) in listed.as_array().unwrap().iter().zip(report["moved"].as_array().unwrap()) {
        assert_eq!((&listed["name"], &listed["events"]), (&moved["partition"], &moved["events"]));
        assert!(moved["file"].as_str().unwrap().ends_with(listed["archive"].as_str().unwrap()), "{listed} {moved}");
    }
    let again = past.run().args(["archive", "run", "--older-than", OLD]).run().await;
    assert_eq!(again.status, 0, "{again:?}");
    assert!(again.stdout.contains("nothing to archive"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_before_every_read_model_and_the_relay_have_passed_it() {
    let past = past(43, 3, 100).await;
    let run = || past.run().args(["archive", "run", "--older-than", OLD]);
    let ended = run().run().await;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.stdout.contains("log_20240101 has to wait: the read model rooms has not begun"), "{ended:?}");
    past.fold().await;
    // As if `messages` stood in the second month.
    let middle = "UPDATE convoke.projections
        SET position = (SELECT first_position + 5 FROM convoke.log_partitions WHERE name = 'log_20240201')
        WHERE name = 'messages'";
    past.db.owner.execute(middle).await.unwrap();
    let ended = run().run().await;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.stdout.contains("log_20240201 has to wait: the read model messages is at"), "{ended:?}");
    let left = attached(&past.db).await;
    assert!(!left.contains(&"log_20240101".into()) && left.contains(&"log_20240201".into()), "{left:?}");
    past.db
        .owner
        .execute("UPDATE convoke.projections SET position = (SELECT position FROM convoke.log_head)")
        .await
        .unwrap();
    // With Kafka configured, its relay must have passed too.
    let relayed = || run().with("KAFKA_BROKERS", "127.0.0.1:1");
    let ended = relayed().run().await;
    assert!(ended.stdout.contains("has to wait: the relay to Kafka convoke.events has not begun"), "{ended:?}");
    let relay = "INSERT INTO convoke.relays (topic, position, fence, epoch)
        SELECT 'convoke.events', p.first_position - 1, 1, h.epoch
        FROM convoke.log_head h, convoke.log_partitions p WHERE p.name = 'log_20240301'";
    past.db.owner.execute(relay).await.unwrap();
    let ended = relayed().run().await;
    assert!(ended.stdout.contains("log_20240301 has to wait: the relay to Kafka convoke.events is at"), "{ended:?}");
    let left = attached(&past.db).await;
    assert!(!left.contains(&"log_20240201".into()) && left.contains(&"log_20240301".into()), "{left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_go_on_while_a_partition_waits_for_an_old_transaction_to_leave() {
    let mut past = past(44, 1, 100).await;
    past.fold().await;
    let mut old = PgConnection::connect_with(&past.db.options).await.unwrap();
    old.execute("BEGIN").await.unwrap();
    old.execute("SELECT count(*) FROM convoke.log").await.unwrap();
    let run = past.run().args(["archive", "run", "--json", "--older-than", OLD]);
    let running = tokio::spawn(run.run());
    eventually("the run waits for the transaction", PATIENCE, async || waits(&past.db).await.then_some(())).await;
    let log = past.log();
    for _ in 0..10 {
        past.story.go_on(5).write(&log).await;
        assert!(!log.read(0, 10).await.unwrap().is_empty());
    }
    assert!(!running.is_finished(), "it still waits");
    old.execute("COMMIT").await.unwrap();
    let ended = running.await.unwrap();
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(!attached(&past.db).await.contains(&"log_20240101".into()));
}

async fn waits(db: &TestDb) -> bool {
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE query LIKE 'ALTER TABLE convoke.log DETACH%' AND wait_event_type = 'Lock' AND datname = current_database()";
    sqlx::query_scalar::<_, i64>(waiting).fetch_one(&db.owner).await.unwrap() > 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_is_stopped_while_it_waits_is_finished_by_the_next() {
    let past = past(45, 2, 100).await;
    past.fold().await;
    let mut old = PgConnection::connect_with(&past.db.options).await.unwrap();
    old.execute("BEGIN; SELECT count(*) FROM convoke.log").await.unwrap();
    let run = past.run().args(["archive", "run", "--older-than", OLD]);
    let mut child = run.command().spawn().unwrap();
    eventually("the run waits for the transaction", PATIENCE, async || waits(&past.db).await.then_some(())).await;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = eventually("the run ends", PATIENCE, async || child.try_wait().unwrap()).await;
    assert!(!status.success());
    // What waits to leave is seen by the old transaction only, and read from its archive by all others.
    let events = past.log().read(0, 100_000).await.unwrap();
    assert_eq!(events.len() as u64, past.log().head().await.unwrap().position);
    old.execute("COMMIT").await.unwrap();
    let report = past.archive(OLD).await;
    assert_eq!(report["moved"].as_array().unwrap().len(), 2, "{report}");
    assert_eq!(past.files().len(), 4, "{:?}", past.files());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_not_what_was_written_is_not_archived() {
    let past = past(46, 2, 100).await;
    past.fold().await;
    let mut hand = PgConnection::connect_with(&past.db.superuser()).await.unwrap();
    hand.execute("SET session_replication_role = replica").await.unwrap();
    hand.execute("UPDATE convoke.log SET actor = 'key:mallory' WHERE position = 7").await.unwrap();
    let ended = past.run().args(["archive", "run", "--older-than", OLD]).run().await;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.stderr.contains("not what was written, at position 7"), "{ended:?}");
    assert!(attached(&past.db).await.contains(&"log_20240101".into()), "it stays");
}

#[tokio::test]
async fn without_a_place_nothing_is_archived() {
    let db = TestDb::new().await;
    let ended = Run::on(&db).args(["archive", "run"]).run().await;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.stderr.contains("CONVOKE_ARCHIVE_URL"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_program_can_take_nothing_out_of_the_log() {
    let past = past(47, 1, 50).await;
    for statement in [
        "ALTER TABLE convoke.log DETACH PARTITION convoke.log_20240101",
        "DROP TABLE convoke.log_20240101",
        "UPDATE convoke.log_archives SET kept_at = now()",
        "INSERT INTO convoke.log_archives (partition, first_position, last_position, events_file, rooms_file)
         VALUES ('log_20240101', 1, 2, 'a', 'b')",
    ] {
        let error = past.db.system.execute(statement).await.expect_err(statement).to_string();
        assert!(error.contains("must be owner") || error.contains("permission denied"), "{statement}: {error}");
    }
}
