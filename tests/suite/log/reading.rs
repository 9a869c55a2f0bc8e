//! Reading, tailing, snapshots.

use std::sync::Arc;
use std::time::Duration;

use convoke::database::pool;
use convoke::events::envelope::Envelope;
use convoke::events::log::EventLog;
use convoke::events::log::append::{AppendBatch, RoomAppend};
use convoke::events::log::snapshots::StateSnapshot;
use convoke::events::time::Timestamp;
use convoke::ids::RoomKey;
use sqlx::Executor as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{believe_any_clock, event, fresh, log_of, now, room, room_of, tenant, write, write_at};
use crate::harness::{TestDb, database_config, follow_head};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A room with four events in each of six months of 2031, and another in between.
pub async fn half_a_year(db: &TestDb) -> (EventLog, RoomKey) {
    believe_any_clock(db).await;
    db.owner.execute("SELECT convoke.ensure_partitions('month', '2031-01-01Z', '2031-08-01Z')").await.unwrap();
    let (log, key, other) = (log_of(db), room(), room_of("other"));
    for month in 1..=6 {
        let start = at(&format!("2031-{month:02}-05T00:00:00Z"));
        for day in 0..4 {
            write_at(&log, &key, 1, start.plus_seconds(day * 86_400)).await;
            write_at(&log, &other, 1, start.plus_seconds(day * 86_400 + 60)).await;
        }
    }
    (log, key)
}

#[tokio::test]
async fn a_room_and_the_log_are_read_from_anywhere_over_partitions() {
    let db = TestDb::new().await;
    let (log, key) = half_a_year(&db).await;
    for after in 0..24 {
        let versions: Vec<_> =
            log.read_room(&key, after, None, 100).await.unwrap().iter().map(|event| event.room_version).collect();
        assert!(versions.iter().copied().eq(after + 1..=24), "after {after}: {versions:?}");
    }
    for after in 0..48 {
        let positions: Vec<_> = log.read(after, 100).await.unwrap().iter().map(|event| event.position).collect();
        assert!(positions.iter().copied().eq(after + 1..=48), "after {after}: {positions:?}");
        assert_eq!(log.read(after, 1).await.unwrap()[0].position, after + 1);
    }
    assert!(log.read(48, 100).await.unwrap().is_empty());
    assert!(log.read(u64::MAX - 1, 100).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_time_finds_its_version_and_its_position() {
    let db = TestDb::new().await;
    let (log, key) = half_a_year(&db).await;
    for (index, event) in log.read_room(&key, 0, None, 100).await.unwrap().iter().enumerate() {
        let version = index as u64 + 1;
        assert_eq!(log.version_at(&key, event.recorded_at).await.unwrap(), version);
        assert_eq!(log.version_at(&key, event.recorded_at.plus_seconds(-1)).await.unwrap(), version - 1);
        assert_eq!(log.position_before(event.recorded_at).await.unwrap(), event.position - 1);
    }
    assert_eq!(log.version_at(&key, at("2099-01-01T00:00:00Z")).await.unwrap(), 24);
    assert_eq!(log.position_before(at("2099-01-01T00:00:00Z")).await.unwrap(), 48);
    assert_eq!(log.position_before(at("2000-01-01T00:00:00Z")).await.unwrap(), 0);
}

/// The partitions that a statement's plan visits when it runs.
async fn visited(db: &TestDb, statement: &str) -> Vec<String> {
    let lines: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {statement}"
    )))
    .fetch_all(&db.system)
    .await
    .unwrap();
    let mut found: Vec<_> = lines
        .iter()
        .filter(|line| !line.contains("never executed"))
        .filter_map(|line| line.split(" on log_").nth(1))
        .map(|rest| rest[..8].to_owned())
        .collect();
    assert!(!lines.iter().any(|line| line.contains("Seq Scan on log_2")), "{lines:#?}");
    found.sort();
    found.dedup();
    found
}

#[tokio::test]
async fn reads_visit_only_the_partitions_that_can_hold_what_they_want() {
    let db = TestDb::new().await;
    let (_, key) = half_a_year(&db).await;
    let position = "SELECT position FROM convoke.log
        WHERE position > 20 AND recorded_at >= '2031-03-01Z' AND recorded_at < '2031-04-01Z' ORDER BY position LIMIT 10";
    assert_eq!(visited(&db, position).await, ["20310301"]);
    let (tenant, room) = (&key.tenant, key.room);
    let of_tenant = format!(
        "SELECT position FROM convoke.log
         WHERE position > 9 AND position <= 20 AND tenant = '{tenant}'
             AND recorded_at >= '2031-02-01Z' AND recorded_at < coalesce('2031-04-01Z'::timestamptz, 'infinity'::timestamptz)
         ORDER BY position LIMIT 10"
    );
    assert_eq!(visited(&db, &of_tenant).await, ["20310201", "20310301"]);
    let of_room = format!(
        "SELECT position FROM convoke.log
         WHERE tenant = '{tenant}' AND room = '{room}' AND room_version > 2
             AND recorded_at >= coalesce(NULL::timestamptz, (SELECT h.first_recorded_at FROM convoke.room_heads h
                 WHERE h.tenant = '{tenant}' AND h.room = '{room}'))
             AND recorded_at <= (SELECT h.last_recorded_at FROM convoke.room_heads h
                 WHERE h.tenant = '{tenant}' AND h.room = '{room}')
         ORDER BY room_version LIMIT 1000"
    );
    let months = ["20310101", "20310201", "20310301", "20310401", "20310501", "20310601"];
    assert_eq!(visited(&db, &of_room).await, months, "neither this year's partitions nor those ahead");
}

#[tokio::test]
async fn a_tenant_reads_its_own_events_only() {
    let db = TestDb::new().await;
    let (log, key) = half_a_year(&db).await;
    let page = log.read_tenant(&tenant("acme"), 0, 10).await.unwrap();
    assert!(page.events.iter().map(|event| event.position).eq((1..20).step_by(2)));
    assert_eq!(page.through, 19);
    let rest = log.read_tenant(&tenant("acme"), page.through, 100).await.unwrap();
    assert_eq!((rest.events.len(), rest.through), (14, 48));
    assert_eq!(log.read_tenant(&tenant("nobody"), 0, 10).await.unwrap().through, 48);
    assert_eq!(log.read_room_as_tenant(&key, 0, 100).await.unwrap().len(), 24);
    let stolen = RoomKey { tenant: tenant("other"), room: key.room };
    assert!(log.read_room_as_tenant(&stolen, 0, 100).await.unwrap().is_empty());
}

#[tokio::test]
async fn another_process_learns_of_an_append_by_notification() {
    let db = TestDb::new().await;
    let there = EventLog::new(pool::system(db.options.clone(), &database_config()));
    let stop = CancellationToken::new();
    let listening = tokio::spawn(follow_head(there.clone(), stop.clone()));
    let mut head = there.head_watch();
    write(&log_of(&db), &room(), 1).await;
    tokio::time::timeout(Duration::from_secs(10), head.wait_for(|position| *position == 1)).await.unwrap().unwrap();
    stop.cancel();
    listening.await.unwrap();
}

#[tokio::test]
async fn a_tail_does_not_wait_for_an_idle_transaction() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let mut idle = db.owner.begin().await.unwrap();
    idle.execute("SELECT txid_current(), count(*) FROM convoke.log").await.unwrap();
    write(&log, &room(), 2).await;
    assert_eq!(log.read(0, 10).await.unwrap().len(), 2);
    idle.rollback().await.unwrap();
}

#[tokio::test]
async fn the_newest_snapshot_at_or_before_a_version_is_found() {
    let db = TestDb::new().await;
    let log = log_of(&db);
    let key = room();
    let snapshot = |version: u64| StateSnapshot {
        version,
        position: version,
        recorded_at: now(),
        chain: [3; 32],
        state: vec![1, 2, 3],
    };
    let (fifth, tenth) = (snapshot(5), snapshot(10));
    log.keep_snapshot(&key, 1, &fifth).await.unwrap();
    log.keep_snapshot(&key, 1, &tenth).await.unwrap();
    log.keep_snapshot(&key, 1, &snapshot(10)).await.unwrap();
    assert_eq!(log.snapshot(&key, 1, 4).await.unwrap(), None);
    assert_eq!(log.snapshot(&key, 1, 9).await.unwrap(), Some(fifth));
    assert_eq!(log.snapshot(&key, 1, u64::MAX).await.unwrap(), Some(tenth));
    assert_eq!(log.snapshot(&key, 2, 9).await.unwrap(), None, "of another shape of state");
    assert_eq!(log.snapshot(&room(), 1, 9).await.unwrap(), None);
}

/// What a process appended itself comes to its followers out of memory: as the log has it, in order, and mixed with what others
/// appended.
#[tokio::test]
async fn followers_get_what_their_process_appended_as_it_lies_in_the_log() {
    let db = TestDb::new().await;
    let (own, other) = (log_of(&db).keeping_appends(), log_of(&db));
    let mut shared = Vec::new();
    for number in 0..40 {
        let writer = if number % 3 == 0 { &other } else { &own };
        let mut first = event(&format!("a{number}"));
        first.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into());
        first.causation_id = Some(Uuid::now_v7());
        let mut second = event(&format!("b{number}"));
        second.occurred_at = Timestamp::from_unix_micros(1_700_000_000_000_001);
        let of_room = |unit| RoomAppend { events: vec![first.clone(), second.clone()], ..fresh(unit, &room(), 0) };
        let rooms = (0..3).map(of_room).collect();
        writer.append(&AppendBatch::new(now(), rooms)).await.unwrap();
        if number % 4 == 0 {
            // Whoever is far behind and whoever reads now and then get the same.
            let after = shared.last().map_or(0, position);
            shared.extend(own.read_shared(after, 1_000).await.unwrap());
        }
    }
    loop {
        let more = own.read_shared(shared.last().map_or(0, position), 7).await.unwrap();
        if more.is_empty() {
            break;
        }
        shared.extend(more);
    }
    let read = other.read(0, 1_000).await.unwrap();
    let told = |events: Vec<String>| events.join("\n");
    assert_eq!(read.len(), 240);
    assert_eq!(
        told(shared.iter().map(|event| format!("{event:?}")).collect()),
        told(read.iter().map(|event| format!("{event:?}")).collect())
    );
}

fn position(event: &Arc<Envelope>) -> u64 {
    event.position
}
