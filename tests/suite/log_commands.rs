//! `convoke log read`, `tail` and `verify`, as their users run them.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::harness::{Run, TestDb};
use crate::log::{log_of, room, room_of, write};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn positions(text: &str) -> Vec<u64> {
    lines(text).iter().map(|line| line["position"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn events_are_read_from_a_position_a_time_or_a_rooms_version() {
    let db = TestDb::new().await;
    let (log, key, other) = (log_of(&db), room(), room_of("other"));
    write(&log, &key, 3).await;
    write(&log, &other, 2).await;
    write(&log, &key, 1).await;
    let read = |args: &[&str]| Run::on(&db).args(["log", "read", "--json"]).args(args.iter().copied()).run();
    assert_eq!(positions(&read(&[]).await.stdout), [1, 2, 3, 4, 5, 6]);
    assert_eq!(positions(&read(&["--from", "4", "--limit", "2"]).await.stdout), [4, 5]);
    assert_eq!(positions(&read(&["--tenant", "other"]).await.stdout), [4, 5]);
    let room = key.room.to_string();
    let of_room = ["--tenant", "acme", "--room", &room];
    assert_eq!(positions(&read(&[&of_room[..], &["--from", "3"]].concat()).await.stdout), [3, 6]);
    let sixth = log.read(5, 1).await.unwrap()[0].recorded_at.to_string();
    assert_eq!(positions(&read(&["--at", &sixth]).await.stdout), [6]);
    assert_eq!(positions(&read(&[&of_room[..], &["--at", &sixth]].concat()).await.stdout), [6]);
    let first = &lines(&read(&["--limit", "1"]).await.stdout)[0];
    assert_eq!((&first["tenant"], &first["type"]), (&"acme".into(), &"room.hand-raised".into()));
    let table = Run::on(&db).args(["log", "read", "--limit", "1"]).run().await.stdout;
    assert!(table.contains("room.hand-raised  key:test  {\"identity\":\"event-0\"}"), "{table}");
}

#[tokio::test]
async fn a_room_is_asked_for_with_its_tenant() {
    let db = TestDb::new().await;
    let ended = Run::on(&db).args(["log", "read", "--room", "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11"]).run().await;
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(ended.stderr.contains("--tenant"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_shows_what_is_recorded_meanwhile() {
    let db = TestDb::new().await;
    let (log, key) = (log_of(&db), room());
    write(&log, &key, 2).await;
    let mut tail = Command::new(env!("CARGO_BIN_EXE_convoke"))
        .args(["log", "tail", "--json", "--from", "2"])
        .env("DATABASE_URL", &db.url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(tail.stdout.take().unwrap()).lines();
    let reader = tokio::task::spawn_blocking(move || {
        let mut next = || positions(&output.next().unwrap().unwrap())[0];
        let first = next();
        (first, [next(), next()])
    });
    // The tail may begin before or after this: it shows it either way.
    write(&log, &key, 2).await;
    assert_eq!(reader.await.unwrap(), (2, [3, 4]));
    let pid = rustix::process::Pid::from_child(&tail);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(tokio::task::spawn_blocking(move || tail.wait().unwrap()).await.unwrap().success(), "Ctrl-C ends it well");
}

#[tokio::test]
async fn a_proof_says_whole_or_names_the_position() {
    let db = TestDb::new().await;
    let (log, key) = (log_of(&db), room());
    write(&log, &key, 5).await;
    let whole = Run::on(&db).args(["log", "verify"]).run().await;
    assert_eq!(whole.status, 0, "{whole:?}");
    assert_eq!(whole.stdout, "intact: 5 events of 1 rooms\n");
    assert!(whole.stderr.contains("verify: 5 events in "), "{}", whole.stderr);

    let mut hand = db.superuser().connect().await.unwrap();
    hand.execute("SET session_replication_role = replica").await.unwrap();
    hand.execute("UPDATE convoke.log SET data = '{\"identity\":\"mallory\"}' WHERE position = 4").await.unwrap();
    hand.close().await.unwrap();
    let broken = Run::on(&db).args(["log", "verify"]).run().await;
    assert_eq!(broken.status, 1);
    assert!(broken.stdout.starts_with(&format!("BROKEN at position 4 (room acme/{}): ", key.room)), "{broken:?}");
    let room = key.room.to_string();
    let of_room = Run::on(&db).args(["log", "verify", "--tenant", "acme", "--room", &room, "--json"]).run().await;
    assert_eq!(of_room.status, 1);
    assert_eq!(lines(&of_room.stdout)[0]["position"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_beyond_the_end_is_told() {
    let db = TestDb::new().await;
    let (log, key) = (log_of(&db), room());
    write(&log, &key, 3).await;
    let room = key.room.to_string();
    let of_room = ["--tenant", "acme", "--room", &room];
    let read = |args: &[&str]| Run::on(&db).args(["log", "read"]).args(args.iter().copied()).run();
    let beyond = read(&["--from", "9"]).await;
    assert_eq!((beyond.status, beyond.stdout.as_str()), (0, ""));
    assert!(beyond.stderr.contains("position 9 is beyond the end of the log, which is at position 3"), "{beyond:?}");
    let beyond = read(&[&of_room[..], &["--from", "5"]].concat()).await;
    assert!(
        beyond.stderr.contains("room version 5 is beyond the end of the room, which is at room version 3"),
        "{beyond:?}"
    );
    let next = read(&["--from", "4"]).await;
    assert_eq!(next.stderr, "", "that is where the next event appears");
    let absent = read(&["--tenant", "acme", "--room", "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11"]).await;
    assert!(absent.status == 1 && absent.stderr.contains("tenant acme has no room 01936d2e"), "{absent:?}");

    let mut tail = Command::new(env!("CARGO_BIN_EXE_convoke"))
        .args(["log", "tail", "--json", "--from", "6"])
        .env("DATABASE_URL", &db.url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut notes = BufReader::new(tail.stderr.take().unwrap()).lines();
    let mut events = BufReader::new(tail.stdout.take().unwrap()).lines();
    let note = tokio::task::spawn_blocking(move || notes.next().unwrap().unwrap()).await.unwrap();
    assert_eq!(note, "position 6 is beyond the end of the log, which is at position 3");
    write(&log, &key, 4).await;
    let first = tokio::task::spawn_blocking(move || events.next().unwrap().unwrap()).await.unwrap();
    assert_eq!(positions(&first), [6], "it is waited for");
    tail.kill().unwrap();
    tail.wait().unwrap();
}
