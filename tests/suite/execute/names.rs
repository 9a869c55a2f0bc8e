//! Names of rooms: what the append keeps of them, what the events say, and how a log is mended in which the two contradict.

use convoke::events::log::append::{AppendBatch, Conflict, NameChange};
use convoke::events::log::verify::VerifyResult;
use serde_json::json;
use sqlx::Executor as _;

use super::{Process, key_of, new_room, process};
use crate::harness::{Run, TestDb};
use crate::log::{fresh, log_of, more, now, room};

/// Two units of one batch: a new room takes a name that another room, by the state of long ago, lets go.
#[tokio::test]
async fn a_name_is_kept_though_a_unit_that_is_left_out_lets_it_go() {
    let db = TestDb::new().await;
    let (log, ended) = (log_of(&db), room());
    let mut created = fresh(0, &ended, 1);
    created.names.push(NameChange::Claim("standup".into()));
    log.append(&AppendBatch::new(now(), vec![created])).await.unwrap();
    let mut end = more(&log, 0, &ended, 1).await;
    end.names.push(NameChange::Release("standup".into()));
    let stale = end.clone();
    log.append(&AppendBatch::new(now(), vec![end])).await.unwrap();

    for first in [0, 1] {
        let next = room();
        let mut taking = fresh(7, &next, 1);
        taking.names.push(NameChange::Claim("standup".into()));
        let mut late = stale.clone();
        late.unit = 8;
        let rooms = if first == 0 { vec![taking, late] } else { vec![late, taking] };
        let appended = log.append(&AppendBatch::new(now(), rooms)).await.unwrap();
        let left_out: Vec<_> = appended.conflicts.keys().copied().collect();
        assert_eq!(left_out, [8]);
        assert!(matches!(appended.conflicts[&8][..], [Conflict::Version { actual: 2, .. }]));
        assert_eq!(log.room_named(&next.tenant, "standup").await.unwrap(), Some(next.room));
        let mut gone = more(&log, 0, &next, 1).await;
        gone.names.push(NameChange::Release("standup".into()));
        log.append(&AppendBatch::new(now(), vec![gone])).await.unwrap();
    }
}

async fn fault(process: &Process) -> Option<String> {
    match process.log.verify(|_, _| true).await.unwrap() {
        VerifyResult::Whole { .. } => None,
        VerifyResult::Broken(fault) => Some(fault.what),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_names_that_contradicts_the_events_is_told_and_mended() {
    let db = TestDb::new().await;
    let process = process(&db);
    let (standup, lesson, over) = (new_room(), new_room(), new_room());
    for (room, name) in [(standup, "standup"), (lesson, "lesson"), (over, "over")] {
        process.run(room, "create-room", json!({ "name": name })).await.unwrap();
    }
    process.run(over, "end-room", json!({})).await.unwrap();
    assert_eq!(fault(&process).await, None);

    let wrongs = [
        ("DELETE FROM convoke.room_names WHERE name = 'lesson'", "is missing in the table of names"),
        ("UPDATE convoke.room_names SET name = 'lessons' WHERE name = 'lesson'", "its events do not"),
        (
            "INSERT INTO convoke.room_names SELECT room, tenant, 'over' FROM convoke.room_names WHERE name = 'lesson'",
            "its events do not",
        ),
        (
            "UPDATE convoke.room_names n SET room = o.room FROM convoke.room_names o
             WHERE n.name = 'lesson' AND o.name = 'standup'",
            "its events do not",
        ),
    ];
    for (wrong, told) in wrongs {
        db.owner.execute(wrong).await.unwrap();
        let found = fault(&process).await.expect("it is found");
        assert!(found.contains(told), "{wrong}: {found}");
        // Looked at only, nothing changes.
        let dry = Run::on(&db).args(["log", "repair-names", "--dry-run", "--json"]).json().await;
        assert!(dry["set"].as_u64().unwrap() + dry["removed"].as_u64().unwrap() > 0, "{wrong}: {dry}");
        assert!(fault(&process).await.is_some());
        Run::on(&db).args(["log", "repair-names", "--json"]).json().await;
        assert_eq!(fault(&process).await, None, "{wrong}");
        let holder = process.log.room_named(&key_of(lesson).tenant, "lesson").await.unwrap();
        assert_eq!(holder, Some(lesson), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_that_share_a_name_are_told_and_the_younger_ones_ended_when_asked() {
    let db = TestDb::new().await;
    let process = process(&db);
    let (elder, twin) = (new_room(), new_room());
    process.run(elder, "create-room", json!({ "name": "standup" })).await.unwrap();
    // As a log was written that did not hold names apart.
    db.owner.execute("DELETE FROM convoke.room_names").await.unwrap();
    process.run(twin, "create-room", json!({ "name": "standup" })).await.unwrap();
    let found = fault(&process).await.expect("it is found");
    assert!(found.contains("was created while room") && found.contains(&elder.to_string()), "{found}");

    let left = Run::on(&db).args(["log", "repair-names"]).run().await;
    assert_eq!(left.status, 1, "{left:?}");
    assert!(left.stdout.contains(&format!("\"standup\" is the name of 2 rooms: {elder}, {twin}")), "{left:?}");
    assert_eq!(process.log.room_named(&key_of(elder).tenant, "standup").await.unwrap(), Some(elder));

    let ended = Run::on(&db).args(["log", "repair-names", "--end-twins", "--json"]).json().await;
    assert_eq!(ended["ended"], 1, "{ended}");
    assert_eq!(fault(&process).await, None);
    assert_eq!(process.log.room_named(&key_of(elder).tenant, "standup").await.unwrap(), Some(elder));
}
