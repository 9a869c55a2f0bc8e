//! What a read model keeps of its rows between two batches.

use convoke::events::room::Settings;
use convoke::events::room::view::RoomStatus;
use convoke::events::time::Timestamp;
use convoke::ids::{RoomId, TenantId};
use convoke::projections::rooms::RoomRow;
use convoke::projections::rows::{AnyWorkingSet, EnumText, JsonText, SetCapacity, WorkingSet};
use uuid::Uuid;

fn row(number: u128, metadata: usize) -> RoomRow {
    let metadata = serde_json::from_str(&format!("{:?}", "x".repeat(metadata))).unwrap();
    RoomRow {
        room: RoomId::from_uuid(Uuid::from_u128(number)),
        tenant: TenantId::new("acme").unwrap(),
        version: 1,
        status: EnumText(RoomStatus::Open),
        name: None,
        created_at: Timestamp::EPOCH,
        opens_at: None,
        opened_at: None,
        ended_at: None,
        empty_since: None,
        due_at: None,
        end_reason: None,
        settings: JsonText(Settings { metadata, ..Settings::default() }),
        locked: false,
        participant_count: 0,
        waiting_count: 0,
        spotlight: None,
        recording: None,
        recording_started_at: None,
    }
}

/// Rows that are still in memory after twenty batches of ten, each of which another changes.
fn kept(capacity: SetCapacity, metadata: usize) -> usize {
    let mut rows = WorkingSet::<RoomRow>::default();
    rows.keep_at_most(capacity);
    for batch in 0..20 {
        for number in 0..10 {
            rows.put(row(batch * 10 + number, metadata));
        }
        let changed = row(batch * 10, metadata);
        rows.change((&changed.room, &changed.tenant), |row| row.locked = true);
        rows.take_changes();
    }
    let tenant = TenantId::new("acme").unwrap();
    (0..200).filter(|number| rows.knows((&RoomId::from_uuid(Uuid::from_u128(*number)), &tenant))).count()
}

#[test]
fn rows_are_kept_up_to_so_many_and_up_to_so_many_bytes() {
    let bytes = 1 << 20;
    assert_eq!(kept(SetCapacity { rows: 1_000, bytes }, 10), 200, "small ones all stay");
    let big = kept(SetCapacity { rows: 1_000, bytes }, 50_000);
    assert!((10..=20).contains(&big), "{big} rows of 50 KB in 1 MiB");
    let few = kept(SetCapacity { rows: 35, bytes }, 10);
    assert!((10..=35).contains(&few), "{few}");
}
