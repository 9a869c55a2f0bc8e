//! A partition of several row groups: rooms that lie in one of them, in some, in all.

use convoke::events::archive::GROUP_EVENTS;
use convoke::events::envelope::Envelope;
use convoke::events::log::EventLog;
use convoke::events::log::append::AppendBatch;
use convoke::events::log::verify::VerifyResult;
use convoke::ids::RoomKey;

use super::{OLD, Past, at, early_past};
use crate::log::{fresh, more, room};
use crate::projections::live::Workers;

/// Row groups of the old partition, the last of which is not full.
const GROUPS: usize = 3;
const STEP: usize = 512;

/// A room that goes on through all of the partition, and short ones beside it, a minute apart.
async fn long(past: &Past) -> (RoomKey, Vec<RoomKey>) {
    let log = past.log();
    let (through, mut short) = (room(), Vec::new());
    let mut written = 0;
    let mut minute = 0;
    while written < (GROUPS - 1) * GROUP_EVENTS + GROUP_EVENTS / 3 {
        let one = room();
        let rooms = vec![more(&log, 0, &through, STEP / 2).await, fresh(1, &one, STEP / 2)];
        let now = at("2024-02-01T00:00:00Z").plus_seconds(60 * minute);
        let appended = log.append(&AppendBatch::new(now, rooms)).await.unwrap();
        assert!(appended.conflicts.is_empty());
        (written, minute) = (written + STEP, minute + 1);
        short.push(one);
    }
    (through, short)
}

/// However many pages they come in.
async fn of_tenant(log: &EventLog, key: &RoomKey, mut after: u64, count: usize) -> Vec<Envelope> {
    let mut found = Vec::new();
    while found.len() < count && after < log.head().await.unwrap().position {
        let page = log.read_tenant(&key.tenant, after, count - found.len()).await.unwrap();
        found.extend(page.events);
        after = page.through;
    }
    found
}

async fn answers(log: &EventLog, keys: &[&RoomKey]) -> Vec<String> {
    let mut told = Vec::new();
    let line = |events: Vec<Envelope>| events.iter().map(|event| format!("{event:?}\n")).collect::<String>();
    let end = log.head().await.unwrap().position;
    for after in [0, 8_000, 8_191, 8_192, 8_193, 16_000, 16_383, 16_384, end - 5, end] {
        told.push(line(log.read(after, 400).await.unwrap()));
        told.push(line(of_tenant(log, keys[0], after, 300).await));
    }
    for key in keys {
        for after in [0, 1, 255, 256, 4_095, 4_096, 4_097, 8_000] {
            told.push(line(log.read_room(key, after, None, 300).await.unwrap()));
        }
        for minute in (0..45).step_by(4) {
            for second in [-1, 0, 1] {
                let at = at("2024-02-01T00:00:00Z").plus_seconds(60 * minute + second);
                told.push(format!(
                    "{} {}",
                    log.version_at(key, at).await.unwrap(),
                    log.position_before(at).await.unwrap()
                ));
            }
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_rooms_are_found_in_whichever_row_group_they_lie() {
    let past = early_past(71, 1, 50).await;
    let (through, short) = long(&past).await;
    let log = past.log();
    crate::log::write_at(&log, &room(), 1, at("2024-05-01T00:00:00Z")).await;
    let workers = Workers::on(log.clone());
    workers.reach(log.head().await.unwrap().position).await;
    workers.stop().await;
    let keys = [&through, &short[0], &short[17], short.last().unwrap()];
    let before = answers(&log, &keys).await;
    past.archive(OLD).await;
    let partitions = past.run().args(["partition", "list", "--json"]).json().await;
    let old = partitions.as_array().unwrap().iter().find(|one| one["name"] == "log_20240201").unwrap();
    assert!(old["archive"].is_string() && old["events"].as_u64().unwrap() as usize > 2 * GROUP_EVENTS, "{old}");
    let after = answers(&past.log(), &keys).await;
    for (number, (before, after)) in before.iter().zip(&after).enumerate() {
        assert!(before == after, "answer {number}: {before}\n is now {after}");
    }
    assert!(matches!(past.log().verify(|_, _| true).await.unwrap(), VerifyResult::Whole { .. }));
}
