//! A superuser changes a byte; the proof finds it.

use convoke::events::log::append::AppendBatch;
use convoke::events::log::verify::{ChainFault, VerifyResult};
use convoke::events::sealed::Sealed;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use super::{fresh, log_of, more, now, room, write};
use crate::harness::TestDb;

/// As a superuser may: no trigger stands in the way.
async fn behind_its_back(db: &TestDb, statement: &str) {
    let mut connection = db.superuser().connect().await.unwrap();
    connection.execute("SET session_replication_role = replica").await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(statement.to_owned())).await.unwrap();
    connection.close().await.unwrap();
}

async fn fault(db: &TestDb) -> ChainFault {
    match log_of(db).verify(|_, _| true).await.unwrap() {
        VerifyResult::Broken(fault) => fault,
        whole => panic!("{whole:?}"),
    }
}

#[tokio::test]
async fn one_changed_byte_in_any_column_is_found_at_its_position() {
    let changes = [
        "data = replace(data::text, 'event-1', 'event-9')::json",
        "actor = 'key:tesu'",
        "actor = 'xey:test'",
        "event_type = 'room.hand-lowered'",
        "type_version = 2",
        "recorded_at = recorded_at + interval '1 microsecond'",
        "occurred_at = recorded_at - interval '1 second'",
        "command_id = gen_random_uuid()",
        "session = gen_random_uuid()",
        "causation_id = gen_random_uuid()",
        "correlation_id = gen_random_uuid()",
        "traceparent = 'x'",
        "sealed = set_byte(sealed, 0, 8)",
        "sealed = NULL",
        "hash = set_byte(hash, 31, get_byte(hash, 31) # 1)",
        "tenant = 'acmf'",
        "room_version = 7",
    ];
    for change in changes {
        let db = TestDb::new().await;
        let (log, key) = (log_of(&db), room());
        let mut append = fresh(0, &key, 5);
        append.events[1].sealed = Some(Sealed(vec![7, 7, 7].into()));
        log.append(&AppendBatch::new(now(), vec![append])).await.unwrap();
        assert_eq!(log.verify(|_, _| true).await.unwrap(), VerifyResult::Whole { events: 5, rooms: 1 });
        behind_its_back(&db, &format!("UPDATE convoke.log SET {change} WHERE position = 2")).await;
        assert_eq!(fault(&db).await.position, 2, "{change}");
        if !change.starts_with("tenant") {
            let of_room = log.verify_room(&key, |_, _| true).await.unwrap();
            // Moved out of the room's order or of its times, the event is missing there; the one after it shows that.
            let moved = change.starts_with("room_version") || change.starts_with("recorded_at");
            let first_bad = if moved { 3 } else { 2 };
            assert!(
                matches!(&of_room, VerifyResult::Broken(fault) if fault.position == first_bad),
                "{change}: {of_room:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_missing_event_is_found() {
    let db = TestDb::new().await;
    write(&log_of(&db), &room(), 5).await;
    behind_its_back(&db, "DELETE FROM convoke.log WHERE position = 3").await;
    assert_eq!(fault(&db).await.position, 3);
}

#[tokio::test]
async fn a_cut_off_end_is_found() {
    let db = TestDb::new().await;
    let (log, key) = (log_of(&db), room());
    write(&log, &key, 5).await;
    behind_its_back(&db, "DELETE FROM convoke.log WHERE position >= 4").await;
    let found = fault(&db).await;
    assert_eq!((found.position, found.what.as_str()), (4, "the log ends here, its head stands at 5"));
    behind_its_back(&db, "UPDATE convoke.log_head SET position = 3").await;
    assert!(fault(&db).await.what.contains("end at version 3, the room stands at 5"));
}

#[tokio::test]
async fn a_room_without_its_head_is_found() {
    let db = TestDb::new().await;
    let (log, whole, headless) = (log_of(&db), room(), room());
    write(&log, &whole, 2).await;
    write(&log, &headless, 3).await;
    behind_its_back(&db, &format!("DELETE FROM convoke.room_heads WHERE room = '{}'", headless.room)).await;
    let found = fault(&db).await;
    assert_eq!((found.position, found.room), (5, Some(headless)));
    assert!(found.what.contains("head is gone"), "{}", found.what);
}

#[tokio::test]
async fn an_event_put_in_by_hand_is_found() {
    let db = TestDb::new().await;
    let (log, key) = (log_of(&db), room());
    write(&log, &key, 2).await;
    behind_its_back(
        &db,
        "INSERT INTO convoke.log (position, room_version, recorded_at, room, command_id, type_version, tenant, event_type,
             actor, data, hash)
         SELECT 3, 3, recorded_at, room, command_id, 1, tenant, event_type, actor, data, hash
         FROM convoke.log WHERE position = 2",
    )
    .await;
    behind_its_back(&db, "UPDATE convoke.log_head SET position = 3").await;
    assert_eq!(fault(&db).await.position, 3);
}

#[tokio::test]
async fn a_proof_that_is_stopped_speaks_of_what_it_walked() {
    let db = TestDb::new().await;
    let (log, key) = (log_of(&db), room());
    write(&log, &key, 10).await;
    let next = more(&log, 0, &key, 1).await;
    log.append(&AppendBatch::new(now(), vec![next])).await.unwrap();
    let verdict = log.verify(|_, _| false).await.unwrap();
    assert!(matches!(verdict, VerifyResult::Whole { events: 11, .. }), "{verdict:?}");
}
