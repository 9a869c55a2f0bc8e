//! Many callers, several processes.

use convoke::commands::execute::{ExecuteError, ExecutorLimits};
use convoke::commands::refusal::RefusalCode;
use convoke::commands::room::state::Room;
use convoke::events::log::verify::VerifyResult;
use futures_util::future::join_all;
use serde_json::json;

use super::{LIMITS, Process, join, key_of, new_room, process, process_with, refusal, request};
use crate::harness::TestDb;

async fn people(process: &Process, room: convoke::ids::RoomId) -> usize {
    match process.executor.loader().now(&key_of(room)).await.unwrap().state {
        Room::Open(open) => open.people.count(),
        other => panic!("{other:?}"),
    }
}

async fn whole(process: &Process) {
    let verdict = process.log.verify(|_, _| true).await.unwrap();
    assert!(matches!(verdict, VerifyResult::Whole { .. }), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_people_join_one_room_at_once() {
    let db = TestDb::new().await;
    let process = process(&db);
    let room = process.create(json!({})).await;
    let joins = join_all((0..10_000).map(|number| process.executor.execute(join(room, &format!("p{number}"))))).await;
    let mut versions: Vec<_> = joins.into_iter().map(|outcome| outcome.unwrap().room_version).collect();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 10_000, "every join has a version of its own");
    assert_eq!(people(&process, room).await, 10_000);
    assert_eq!(process.log.head().await.unwrap().position, 10_001);
    whole(&process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_fill_a_room_to_its_limit_and_not_beyond() {
    let db = TestDb::new().await;
    let processes = [process(&db), process(&db)];
    let room = processes[0].create(json!({ "max_participants": 50 })).await;
    let joins =
        join_all((0..120).map(|number| processes[number % 2].executor.execute(join(room, &format!("p{number}")))))
            .await;
    let (accepted, refused): (Vec<_>, Vec<_>) = joins.into_iter().partition(Result::is_ok);
    assert_eq!(accepted.len(), 50);
    for outcome in refused {
        assert_eq!(refusal(outcome), RefusalCode::RoomFull);
    }
    assert_eq!(people(&processes[1], room).await, 50);
    whole(&processes[0]).await;
}

#[tokio::test]
async fn a_refusal_is_never_of_an_old_state() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = here.create(json!({ "max_participants": 1 })).await;
    here.executor.execute(join(room, "ann")).await.unwrap();
    assert_eq!(refusal(here.executor.execute(join(room, "bob")).await), RefusalCode::RoomFull);
    there.run(room, "leave", json!({ "identity": "ann" })).await.unwrap();
    here.executor.execute(join(room, "bob")).await.expect("ann has left, elsewhere");
}

#[tokio::test]
async fn repeating_what_is_so_answers_the_present_version_of_any_process() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = here.create(json!({})).await;
    let locked = here.run(room, "lock-room", json!({})).await.unwrap();
    assert_eq!(locked.room_version, 2);
    let joined = there.executor.execute(join(room, "ann")).await.unwrap();
    let again = here.run(room, "lock-room", json!({})).await.unwrap();
    assert_eq!((again.room_version, again.position), (joined.room_version, joined.position));
    assert_eq!(again.recorded_at, joined.recorded_at);
}

#[tokio::test]
async fn a_command_that_expects_another_version_is_told_the_actual_one() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = here.create(json!({})).await;
    there.executor.execute(join(room, "ann")).await.unwrap();
    let mut lock = request(room, "lock-room", json!({}));
    lock.expected_version = Some(1);
    let outcome = here.executor.execute(lock.clone()).await;
    let Err(ExecuteError::VersionMismatch { actual }) = outcome else { panic!("{outcome:?}") };
    lock.expected_version = Some(actual);
    assert_eq!(here.executor.execute(lock).await.unwrap().room_version, actual + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_wanted_in_two_processes_is_one_rooms() {
    let db = TestDb::new().await;
    let processes = [process(&db), process(&db)];
    let rooms: Vec<_> = (0..20).map(|_| new_room()).collect();
    let create = |number: usize| processes[number % 2].run(rooms[number], "create-room", json!({ "name": "standup" }));
    let outcomes = join_all((0..20).map(create)).await;
    let winners: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).map(|won| won.room).collect();
    assert_eq!(winners.len(), 1);
    for outcome in outcomes {
        match outcome {
            Ok(_) => {}
            Err(ExecuteError::Refused(refusal)) => {
                assert_eq!(refusal.code, RefusalCode::RoomNameTaken);
                assert_eq!(refusal.room, Some(winners[0]));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let body = json!({ "name": "standup", "if_exists": "return" });
    let existing = processes[1].run(new_room(), "create-room", body).await.unwrap();
    assert_eq!((existing.room, existing.status, existing.room_version), (winners[0], 200, 1));
    processes[0].run(winners[0], "end-room", json!({})).await.unwrap();
    let next = processes[1].run(new_room(), "create-room", json!({ "name": "standup" })).await.unwrap();
    assert_eq!(next.status, 201);
    whole(&processes[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflicts_beyond_the_bound_are_answered() {
    let db = TestDb::new().await;
    let impatient = process_with(&db, ExecutorLimits { conflict_retries: 0, ..LIMITS });
    let other = process(&db);
    let room = other.create(json!({})).await;
    impatient.executor.execute(join(room, "zoe")).await.unwrap();
    other.executor.execute(join(room, "ann")).await.unwrap();
    let outcome = impatient.executor.execute(join(room, "bob")).await;
    assert!(matches!(outcome, Err(ExecuteError::Conflict)), "{outcome:?}");
    impatient.executor.execute(join(room, "bob")).await.expect("the room was loaded anew");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_full_says_so_and_loses_nothing() {
    let db = TestDb::new().await;
    let process = process_with(&db, ExecutorLimits { batch: 1, queue: 1, ..LIMITS });
    let room = process.create(json!({})).await;
    let mut blocker = db.owner.begin().await.unwrap();
    sqlx::query("SELECT 1 FROM convoke.log_head FOR UPDATE").execute(&mut *blocker).await.unwrap();
    let joins: Vec<_> = (0..5)
        .map(|number| {
            let (executor, join) = (process.executor.clone(), join(room, &format!("p{number}")));
            tokio::spawn(async move { executor.execute(join).await })
        })
        .collect();
    let busy = crate::harness::eventually("callers are turned away", std::time::Duration::from_secs(20), async || {
        let turned = joins.iter().filter(|join| join.is_finished()).count();
        (turned >= 3).then_some(turned)
    })
    .await;
    blocker.rollback().await.unwrap();
    let mut accepted = 0;
    for join in joins {
        match join.await.unwrap() {
            Ok(_) => accepted += 1,
            Err(error) => assert!(matches!(error, ExecuteError::Busy), "{error:?}"),
        }
    }
    assert_eq!(accepted, 5 - busy);
    assert_eq!(people(&process, room).await, accepted);
}
