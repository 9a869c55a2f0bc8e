//! Keys of persons and the events sealed under them are stored together, or not at all.

use std::collections::BTreeSet;
use std::sync::Arc;

use convoke::commands::execute::CommandRequest;
use convoke::commands::refusal::RefusalCode;
use convoke::commands::room::RoomCommand;
use convoke::ids::{RoomId, TenantId};
use convoke::security::sealing::{MasterKeys, SealedPlace, Sealer, key_id};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Process, join, key_of, new_room, process, refusal, request};
use crate::harness::TestDb;

async fn keys(db: &TestDb) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM convoke.person_keys").fetch_one(&db.owner).await.unwrap()
}

fn rename(room: RoomId, who: &str) -> CommandRequest {
    request(room, "rename", json!({ "identity": who, "display_name": "Somebody" }))
}

fn erasure(identity: &str) -> CommandRequest {
    let body = json!({ "identity": identity }).to_string();
    let command = RoomCommand::parse_of_tenant("erase-person", body.as_bytes()).unwrap();
    CommandRequest { command, ..request(RoomId::TENANT, "lock-room", json!({})) }
}

/// The names that are read of a room, `None` where they are erased, and the keys that they are sealed under.
async fn names(process: &Process, db: &TestDb, room: RoomId) -> Vec<(Option<String>, uuid::Uuid)> {
    let masters = MasterKeys::new([("test".to_owned(), zeroize::Zeroizing::new([9; 32]))]).unwrap();
    let (sealer, acme) = (Sealer::new(db.system.clone(), masters), TenantId::new("acme").unwrap());
    let events = process.log.read_room(&key_of(room), 0, None, 10_000).await.unwrap();
    let mut names = Vec::new();
    for event in events {
        let Some(sealed) = &event.sealed else { continue };
        let opening = sealer.load_keys(&acme, [sealed]).await.unwrap();
        let place = SealedPlace { tenant: &acme, room, room_version: event.room_version };
        let fields = opening.try_open(&place, sealed).unwrap();
        names.push((fields.and_then(|fields| fields.display_name), key_id(sealed).unwrap()));
    }
    names
}

#[tokio::test]
async fn a_refused_command_leaves_no_key_and_gives_nobody_one_again() {
    let db = TestDb::new().await;
    let process = process(&db);
    let room = process.create(json!({})).await;
    let refused = process.executor.execute(rename(room, "nobody")).await;
    assert_eq!((refusal(refused), keys(&db).await), (RefusalCode::NotPresent, 0));

    process.executor.execute(join(room, "alice")).await.unwrap();
    process.run(room, "leave", json!({ "identity": "alice" })).await.unwrap();
    assert_eq!(keys(&db).await, 1);
    process.executor.execute(erasure("alice")).await.unwrap();
    assert_eq!(keys(&db).await, 0);
    let refused = process.executor.execute(rename(room, "alice")).await;
    assert_eq!((refusal(refused), keys(&db).await), (RefusalCode::NotPresent, 0));
}

#[tokio::test]
async fn a_group_of_which_one_is_refused_leaves_no_key_and_one_that_is_carried_out_stores_each_once() {
    let db = TestDb::new().await;
    let process = process(&db);
    let room = process.create(json!({})).await;
    let group = vec![join(room, "alice"), join(room, "bob"), rename(room, "nobody")];
    assert_eq!(process.executor.execute_atomic(group).await.unwrap_err().index, 2);
    assert_eq!(keys(&db).await, 0);

    let group = vec![join(room, "alice"), join(room, "bob"), rename(room, "alice")];
    process.executor.execute_atomic(group).await.unwrap();
    assert_eq!(keys(&db).await, 2);
    let read: Vec<_> = names(&process, &db, room).await.into_iter().map(|(name, _)| name.unwrap()).collect();
    assert_eq!(read, ["Name of alice", "Name of bob", "Somebody"]);
}

#[tokio::test]
async fn who_is_seen_and_erased_by_one_group_gets_no_key_at_all() {
    let db = TestDb::new().await;
    let process = process(&db);
    let room = process.create(json!({})).await;
    let group = vec![join(room, "alice"), join(room, "bob"), erasure("alice"), rename(room, "alice")];
    let outcomes = process.executor.execute_atomic(group).await.unwrap();
    assert!(outcomes[2].body.contains("person.erased"), "{}", outcomes[2].body);
    assert_eq!(keys(&db).await, 1);
    let read: Vec<_> = names(&process, &db, room).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(read, [None, Some("Name of bob".into()), None]);
    process.executor.execute(rename(room, "alice")).await.unwrap();
    assert_eq!(names(&process, &db, room).await.last().unwrap().0.as_deref(), Some("Somebody"), "a new key after it");
}

#[tokio::test]
async fn an_erasure_right_behind_the_first_sight_of_a_person_finds_the_key() {
    let db = TestDb::new().await;
    let process = process(&db);
    let room = process.create(json!({})).await;
    // Both wait in the queue before the writer is woken: they go into one batch.
    let (joined, erased) =
        tokio::join!(process.executor.execute(join(room, "alice")), process.executor.execute(erasure("alice")));
    joined.unwrap();
    assert!(erased.unwrap().body.contains("person.erased"));
    assert_eq!(keys(&db).await, 0);
    assert_eq!(names(&process, &db, room).await[0].0, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_see_the_same_persons_at_once_store_one_key_each_and_everything_opens() {
    const PERSONS: usize = 40;
    let db = TestDb::new().await;
    let processes = [Arc::new(process(&db)), Arc::new(process(&db))];
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let process = processes[number % 2].clone();
        tasks.spawn(async move {
            let room = new_room();
            process.run(room, "create-room", json!({})).await.unwrap();
            for person in 0..PERSONS {
                // Each in another order.
                let person = (person * 7 + number * 3) % PERSONS;
                process.executor.execute(join(room, &format!("p{person}"))).await.unwrap();
            }
            room
        });
    }
    let mut used = BTreeSet::new();
    for room in tasks.join_all().await {
        let names = names(&processes[0], &db, room).await;
        assert_eq!(names.len(), PERSONS);
        used.extend(names.iter().map(|(_, key)| *key));
        assert!(names.iter().all(|(name, _)| name.is_some()), "{names:?}");
    }
    assert_eq!((used.len(), keys(&db).await), (PERSONS, 40));
}
