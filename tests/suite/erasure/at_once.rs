//! Erasures at the same time, in one process and in two, and those that come to nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use convoke::commands::execute::CommandRequest;
use convoke::commands::room::RoomCommand;
use convoke::events::log::append::{AppendBatch, RoomAppend};
use convoke::events::room::RoomEvent;
use convoke::events::tenant::PersonErased;
use convoke::ids::RoomId;
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::execute::{join, key_of, process, request};
use crate::harness::TestDb;
use crate::log::{event, log_of, now};

const PERSONS: usize = 60;

fn erasure(identity: &str) -> CommandRequest {
    let body = json!({ "identity": identity }).to_string();
    let command = RoomCommand::parse_of_tenant("erase-person", body.as_bytes()).unwrap();
    CommandRequest { command, ..request(RoomId::TENANT, "lock-room", json!({})) }
}

async fn keys(db: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM convoke.person_keys").fetch_one(db).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_orders_in_two_processes_there_is_one_event_for_each_key() {
    let db = TestDb::new().await;
    let (one, other) = (Arc::new(process(&db)), Arc::new(process(&db)));
    let room = one.create(json!({})).await;
    for number in 0..PERSONS {
        one.executor.execute(join(room, &format!("p{number}"))).await.unwrap();
    }
    assert_eq!(keys(&db.owner).await, 60);
    let mut orders = JoinSet::new();
    for number in 0..PERSONS {
        for process in [&one, &one, &other, &other] {
            let process = process.clone();
            orders.spawn(async move {
                let outcome = process.executor.execute(erasure(&format!("p{number}"))).await.unwrap();
                outcome.body.contains("person.erased")
            });
        }
    }
    let told = orders.join_all().await.into_iter().filter(|wrote| *wrote).count();
    let written: Vec<(i64, String)> = sqlx::query_as(
        "SELECT room_version, data ->> 'identity' FROM convoke.log WHERE event_type = 'person.erased' ORDER BY position",
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    let versions: Vec<_> = written.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, (1..=60).collect::<Vec<_>>(), "one for each person, and in one order");
    let erased: BTreeSet<_> = written.iter().map(|(_, identity)| identity).collect();
    assert_eq!((erased.len(), told, keys(&db.owner).await), (PERSONS, PERSONS, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_is_left_out_of_a_batch_leaves_the_key() {
    let db = TestDb::new().await;
    let process = process(&db);
    let room = process.create(json!({})).await;
    process.executor.execute(join(room, "alice")).await.unwrap();
    let log = log_of(&db);
    let attempt = async |expected: u64| {
        let erased = RoomEvent::from(PersonErased { identity: "alice".parse().unwrap() });
        let data = RawValue::from_string(erased.to_json().unwrap()).unwrap().into();
        let event = convoke::events::log::append::EventData { event_type: erased.name(), data, ..event("") };
        let (names, outcomes) = (Vec::new(), Vec::new());
        let key = key_of(RoomId::TENANT);
        let append = RoomAppend { unit: 0, key, expected, chain: [0; 32], events: vec![event], names, outcomes };
        log.append(&AppendBatch::new(now(), vec![append])).await.unwrap().conflicts.len()
    };
    assert_eq!((attempt(7).await, keys(&db.owner).await), (1, 1), "decided on a version that is not there");
    assert_eq!((attempt(0).await, keys(&db.owner).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_deletes_no_key_but_by_the_event() {
    let db = TestDb::new().await;
    let process = process(&db);
    let room = process.create(json!({})).await;
    process.executor.execute(join(room, "alice")).await.unwrap();
    let refused = sqlx::query("DELETE FROM convoke.person_keys").execute(&db.system).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    let called = sqlx::query("SELECT convoke.erase_person()").execute(&db.system).await.unwrap_err();
    assert!(called.to_string().contains("permission denied"), "{called}");
    assert_eq!(keys(&db.owner).await, 1);
}
