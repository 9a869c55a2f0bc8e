//! Groups of commands: all or none.

use convoke::commands::execute::{AtomicError, ExecuteError};
use futures_util::future::join_all;
use serde_json::json;

use super::{join, keyed, new_room, process, request};
use crate::harness::TestDb;

#[tokio::test]
async fn a_group_over_rooms_is_carried_out_in_order() {
    let db = TestDb::new().await;
    let process = process(&db);
    let (main, breakout) = (process.create(json!({})).await, new_room());
    let group = vec![
        request(breakout, "create-room", json!({ "name": "breakout" })),
        join(breakout, "ann"),
        join(main, "bob"),
        join(breakout, "cay"),
    ];
    let outcomes = process.executor.execute_atomic(group).await.unwrap();
    let places: Vec<_> = outcomes.iter().map(|outcome| (outcome.room, outcome.room_version)).collect();
    assert_eq!(places, [(breakout, 1), (breakout, 2), (main, 2), (breakout, 3)]);
    assert_eq!(process.log.head().await.unwrap().position, 5);
}

#[tokio::test]
async fn one_refusal_undoes_the_whole_group_and_nothing_else() {
    let db = TestDb::new().await;
    let process = process(&db);
    let (first, second) = (process.create(json!({})).await, process.create(json!({ "max_participants": 1 })).await);
    let group = vec![join(first, "ann"), join(second, "bob"), join(second, "cay"), join(first, "dee")];
    let failed = process.executor.execute_atomic(group).await;
    assert!(matches!(failed, Err(AtomicError { index: 2, error: ExecuteError::Refused(_) })), "{failed:?}");
    assert_eq!(process.log.head().await.unwrap().position, 2);
    let joined = process.executor.execute(join(first, "ann")).await.unwrap();
    assert_eq!(joined.room_version, 2, "the room's state is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_and_single_commands_on_the_same_rooms_do_not_mix() {
    let db = TestDb::new().await;
    let processes = [process(&db), process(&db)];
    let rooms = [processes[0].create(json!({})).await, processes[0].create(json!({})).await];
    let groups = join_all((0..20).map(|number| {
        let who = format!("pair-{number}");
        let group = vec![join(rooms[number % 2], &who), join(rooms[1 - number % 2], &who)];
        processes[number % 2].executor.execute_atomic(group)
    }));
    let singles =
        join_all((0..40).map(|number| {
            processes[number % 2].executor.execute(join(rooms[number % 2], &format!("single-{number}")))
        }));
    let (groups, singles) = tokio::join!(groups, singles);
    for outcomes in groups {
        let outcomes = outcomes.unwrap();
        assert_eq!(outcomes[0].position + 1, outcomes[1].position);
    }
    assert!(singles.into_iter().all(|outcome| outcome.is_ok()));
    assert_eq!(processes[0].log.head().await.unwrap().position, 2 + 40 + 40);
}

#[tokio::test]
async fn a_group_under_keys_is_answered_again_as_a_whole() {
    let db = TestDb::new().await;
    let (here, there) = (process(&db), process(&db));
    let room = here.create(json!({})).await;
    let group = || vec![keyed(join(room, "ann"), "g/0"), keyed(join(room, "bob"), "g/1")];
    let first = here.executor.execute_atomic(group()).await.unwrap();
    for process in [&here, &there] {
        let again = process.executor.execute_atomic(group()).await.unwrap();
        for (first, again) in first.iter().zip(&again) {
            assert_eq!(first.body, again.body);
        }
    }
    assert_eq!(here.log.head().await.unwrap().position, 3);
}
