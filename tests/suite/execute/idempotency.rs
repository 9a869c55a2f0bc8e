//! The same key, the same answer.

use convoke::commands::execute::{CommandOutcome, ExecuteError};
use convoke::commands::refusal::RefusalCode;
use futures_util::future::join_all;
use serde_json::json;

use super::{join, keyed, new_room, process, refusal, request};
use crate::harness::TestDb;

fn same(first: &CommandOutcome, again: &CommandOutcome) {
    assert_eq!(again.body, first.body, "byte for byte");
    assert_eq!(CommandOutcome { replayed: first.replayed, ..again.clone() }, *first);
}

#[tokio::test]
async fn an_answer_is_given_again_by_any_process() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = new_room();
    let create = keyed(request(room, "create-room", json!({ "name": "standup" })), "create");
    let first = here.executor.execute(create.clone()).await.unwrap();
    assert_eq!((first.status, first.replayed), (201, false));
    here.executor.execute(join(room, "ann")).await.unwrap();
    for process in [&here, &there] {
        let again = process.executor.execute(create.clone()).await.unwrap();
        assert!(again.replayed);
        same(&first, &again);
    }
    let parsed: serde_json::Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!(parsed["position"], 1);
    assert_eq!(parsed["room_version"], 1);
    assert_eq!(parsed["events"][0]["type"], "room.created");
    assert_eq!(parsed["recorded_at"], first.recorded_at.to_string());
    assert_eq!(here.log.head().await.unwrap().position, 2);
}

#[tokio::test]
async fn an_accepted_command_is_answered_again_even_when_it_would_now_be_refused() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = here.create(json!({})).await;
    let first = here.executor.execute(keyed(join(room, "ann"), "join")).await.unwrap();
    here.run(room, "end-room", json!({})).await.unwrap();
    same(&first, &there.executor.execute(keyed(join(room, "ann"), "join")).await.unwrap());
}

#[tokio::test]
async fn a_command_upon_a_version_is_answered_again_though_the_room_went_on() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = here.create(json!({})).await;
    let mut join = keyed(join(room, "ann"), "join");
    join.expected_version = Some(1);
    let first = here.executor.execute(join.clone()).await.unwrap();
    here.run(room, "lock-room", json!({})).await.unwrap();
    same(&first, &there.executor.execute(join).await.unwrap());
}

#[tokio::test]
async fn a_room_that_is_there_answers_in_place_of_a_new_one() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = here.create(json!({})).await;
    here.executor.execute(join(room, "ann")).await.unwrap();
    for process in [&here, &there] {
        let body = json!({ "id": room, "if_exists": "return" });
        let existing = process.run(room, "create-room", body).await.unwrap();
        assert_eq!((existing.room, existing.status, existing.room_version), (room, 200, 2));
        assert_eq!(refusal(process.run(room, "create-room", json!({ "id": room })).await), RefusalCode::RoomIdTaken);
    }
}

#[tokio::test]
async fn a_no_op_keeps_its_answer_too() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = here.create(json!({})).await;
    here.run(room, "lock-room", json!({})).await.unwrap();
    let lock = keyed(request(room, "lock-room", json!({})), "lock");
    let first = here.executor.execute(lock.clone()).await.unwrap();
    assert_eq!(first.room_version, 2);
    here.executor.execute(join(room, "ann")).await.unwrap();
    same(&first, &there.executor.execute(lock).await.unwrap());
}

#[tokio::test]
async fn another_request_under_the_key_is_refused_by_any_process() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = here.create(json!({})).await;
    here.executor.execute(keyed(join(room, "ann"), "k")).await.unwrap();
    for process in [&here, &there] {
        let other = keyed(request(room, "lock-room", json!({})), "k");
        let outcome = process.executor.execute(other).await;
        assert!(matches!(outcome, Err(ExecuteError::KeyReused)), "{outcome:?}");
    }
    assert_eq!(here.log.head().await.unwrap().position, 2);
}

#[tokio::test]
async fn a_refusal_is_not_kept_and_is_judged_anew() {
    let db = TestDb::new().await;
    let process = process(&db);
    let room = process.create(json!({ "max_participants": 1 })).await;
    process.executor.execute(join(room, "ann")).await.unwrap();
    let bob = keyed(join(room, "bob"), "bob");
    assert_eq!(refusal(process.executor.execute(bob.clone()).await), RefusalCode::RoomFull);
    process.run(room, "leave", json!({ "identity": "ann" })).await.unwrap();
    process.executor.execute(bob).await.expect("there is room now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_used_by_many_at_once_in_two_processes_is_carried_out_once() {
    let db = TestDb::new().await;
    let processes = [process(&db), process(&db)];
    let room = processes[0].create(json!({})).await;
    let joins = join_all((0..40).map(|number| {
        let join = keyed(join(room, "ann"), "once");
        processes[number % 2].executor.execute(join)
    }))
    .await;
    let outcomes: Vec<_> = joins.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| !outcome.replayed).count(), 1);
    for outcome in &outcomes {
        assert_eq!(outcome.body, outcomes[0].body);
    }
    assert_eq!(processes[0].log.head().await.unwrap().position, 2);
}
