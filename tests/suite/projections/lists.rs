//! Lists of rooms: every combination of filters gives what a look at all rooms gives, the newest first, and reads a bounded part of an
//! index for each page, however many rooms there are.

use convoke::events::room::view::RoomStatus;
use convoke::events::time::Timestamp;
use convoke::ids::RoomId;
use convoke::projections::read::{PageRequest, ReadModels};
use convoke::projections::rooms::{RoomFilter, SCAN};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

use super::story::tenant;
use crate::harness::TestDb;

const ROOMS: i64 = 60_000;
/// The oldest of them.
const NAMED: i64 = 20_000;
/// 2026-01-01.
const BEGUN: i64 = 1_767_225_600;
/// Blocks that a page may read: with at most one filter; and with several, where it looks at [`SCAN`] rooms by their keys.
const FEW: i64 = 400;
const BOUNDED: i64 = 8_000;
const PAGE: usize = 20;
/// Pages that are followed at most.
const PAGES: usize = 80;

/// The room of a number; a bigger one is newer.
struct Room(i64);

impl Room {
    fn id(&self) -> RoomId {
        RoomId::from_uuid(Uuid::from_u128((u128::from(self.0.unsigned_abs()) << 80) | (7 << 76) | (2 << 62)))
    }

    fn created_at(&self) -> Timestamp {
        Timestamp::EPOCH.plus_seconds(BEGUN + self.0)
    }

    fn status(&self) -> RoomStatus {
        match self.0 {
            NAMED => RoomStatus::Scheduled,
            n if n <= NAMED => RoomStatus::Ended,
            n if n % 2_000 == 1 => RoomStatus::Scheduled,
            _ => RoomStatus::Open,
        }
    }

    /// Of many rooms that have one name, one has not ended.
    fn name(&self) -> Option<&'static str> {
        (self.0 <= NAMED).then_some("daily")
    }

    /// Half of all rooms are `a:1`, half `b:2`, and both are the twenty oldest only.
    fn labels(&self) -> Vec<(&'static str, &'static str)> {
        let (even, both) = (self.0 % 2 == 0, self.0 <= 20);
        let mut labels =
            vec![("a", if even || both { "1" } else { "2" }), ("b", if !even || both { "2" } else { "1" })];
        if self.0 % 10_000 == 7 {
            labels.push(("rare", "x"));
        }
        labels
    }

    fn fits(&self, filter: &RoomFilter) -> bool {
        filter.name.as_deref().is_none_or(|name| self.name() == Some(name))
            && filter.status.is_none_or(|status| self.status() == status)
            && filter.labels.iter().all(|(label, value)| self.labels().contains(&(label, value)))
            && filter.created_after.is_none_or(|time| self.created_at() > time)
            && filter.created_before.is_none_or(|time| self.created_at() < time)
    }
}

/// The same rooms in two tenants.
async fn fill(db: &TestDb, rooms: impl IntoIterator<Item = i64>) {
    let rooms: Vec<Room> = rooms.into_iter().map(Room).collect();
    for tenant in ["acme", "other"] {
        sqlx::query(
            "INSERT INTO convoke.rm_rooms (version, created_at, participant_count, waiting_count, room, locked, tenant, status, name, settings)
             SELECT 1, created_at, 0, 0, room, false, $1, status, name, '{}'
             FROM unnest($2::timestamptz[], $3::uuid[], $4::text[], $5::text[]) AS n (created_at, room, status, name)",
        )
        .bind(tenant)
        .bind(rooms.iter().map(|room| room.created_at().utc()).collect::<Vec<_>>())
        .bind(rooms.iter().map(|room| room.id().uuid()).collect::<Vec<_>>())
        .bind(rooms.iter().map(|room| room.status().as_str()).collect::<Vec<_>>())
        .bind(rooms.iter().map(Room::name).collect::<Vec<_>>())
        .execute(&db.owner)
        .await
        .unwrap();
        let labels: Vec<_> =
            rooms.iter().flat_map(|room| room.labels().into_iter().map(move |label| (room, label))).collect();
        sqlx::query(
            "INSERT INTO convoke.rm_room_labels (created_at, room, tenant, label, value, status)
             SELECT created_at, room, $1, label, value, status
             FROM unnest($2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::text[]) AS n (created_at, room, status, label, value)",
        )
        .bind(tenant)
        .bind(labels.iter().map(|(room, _)| room.created_at().utc()).collect::<Vec<_>>())
        .bind(labels.iter().map(|(room, _)| room.id().uuid()).collect::<Vec<_>>())
        .bind(labels.iter().map(|(room, _)| room.status().as_str()).collect::<Vec<_>>())
        .bind(labels.iter().map(|(_, (label, _))| *label).collect::<Vec<_>>())
        .bind(labels.iter().map(|(_, (_, value))| *value).collect::<Vec<_>>())
        .execute(&db.owner)
        .await
        .unwrap();
    }
}

fn filters() -> Vec<RoomFilter> {
    let label = |text: &str| {
        let (label, value) = text.split_once(':').unwrap();
        (label.to_owned(), value.to_owned())
    };
    let labels = [
        &[][..],
        &["a:1"],
        &["a:1", "b:2"],
        &["b:1", "a:1"],
        &["rare:x"],
        &["a:2", "rare:x"],
        &["a:1", "a:2"],
        &["a:1", "a:1"],
        &["a:1", "none:0"],
    ];
    let at = |number| Some(Room(number).created_at());
    let times = [(None, None), (at(30_000), None), (None, at(10_000)), (at(3), at(50))];
    let mut filters = Vec::new();
    for name in [None, Some("daily"), Some("never")] {
        for status in [None, Some(RoomStatus::Open), Some(RoomStatus::Scheduled), Some(RoomStatus::Ended)] {
            for labels in labels {
                for (created_after, created_before) in times {
                    let labels = labels.iter().map(|text| label(text)).collect();
                    filters.push(RoomFilter {
                        name: name.map(str::to_owned),
                        status,
                        labels,
                        created_after,
                        created_before,
                    });
                }
            }
        }
    }
    filters
}

/// Blocks that the search for a page reads, as the tenant.
async fn blocks(connection: &mut PgConnection, filter: &RoomFilter, from: Option<&Room>) -> i64 {
    let (labels, values): (Vec<&str>, Vec<&str>) = filter.labels.iter().map(|(l, v)| (l.as_str(), v.as_str())).unzip();
    let plan: Value = sqlx::query_scalar(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)
         SELECT * FROM convoke.find_rooms('acme', $1, $2, $3, $4, coalesce($5, '-infinity'), coalesce($6, 'infinity'),
            coalesce($7, 'infinity'), coalesce($8, 'ffffffff-ffff-ffff-ffff-ffffffffffff'), $9, $10)",
    )
    .bind(filter.name.as_deref())
    .bind(filter.status.map(RoomStatus::as_str))
    .bind(labels)
    .bind(values)
    .bind(filter.created_after.map(Timestamp::utc))
    .bind(filter.created_before.map(Timestamp::utc))
    .bind(from.map(|room| room.created_at().utc()))
    .bind(from.map(|room| room.id().uuid()))
    .bind(i32::try_from(PAGE).unwrap())
    .bind(SCAN)
    .fetch_one(connection)
    .await
    .unwrap();
    let plan = &plan[0]["Plan"];
    plan["Shared Hit Blocks"].as_i64().unwrap() + plan["Shared Read Blocks"].as_i64().unwrap()
}

/// The first rooms that a list gives, and how many pages that took.
async fn listed(models: &ReadModels, filter: &RoomFilter) -> (Vec<RoomId>, usize) {
    let (mut rooms, mut cursor) = (Vec::new(), None);
    for page in 1..=PAGES {
        let request = PageRequest { limit: PAGE, cursor: cursor.as_deref() };
        let found = models.rooms(&tenant("acme"), filter, request).await.unwrap();
        assert!(found.items.len() <= PAGE);
        rooms.extend(found.items.iter().map(|room| room.id));
        cursor = found.next_cursor;
        if cursor.is_none() || rooms.len() >= 3 * PAGE {
            return (rooms, page);
        }
    }
    panic!("{filter:?} does not come to an end: {} rooms", rooms.len());
}

#[tokio::test]
async fn every_combination_of_filters_gives_its_rooms_and_reads_a_bounded_part_of_an_index() {
    let db = TestDb::new().await;
    // Planned while there is next to nothing, and not told that there is more by now.
    fill(&db, [1]).await;
    let mut connection = PgConnection::connect_with(&db.options).await.unwrap();
    connection.execute("SET ROLE convoke_tenant; SET convoke.tenant = 'acme'").await.unwrap();
    for filter in filters() {
        blocks(&mut connection, &filter, None).await;
    }
    fill(&db, 2..=ROOMS).await;
    let models = ReadModels::new(db.system.clone());
    let newest_first: Vec<Room> = (1..=ROOMS).rev().map(Room).collect();
    for filter in filters() {
        let (rooms, pages) = listed(&models, &filter).await;
        let expected: Vec<RoomId> = newest_first.iter().filter(|room| room.fits(&filter)).map(Room::id).collect();
        let shown = expected.len().min(rooms.len());
        assert_eq!(rooms, expected[..shown], "{filter:?}");
        assert!(rooms.len() >= expected.len().min(3 * PAGE), "{filter:?}: {} of {}", rooms.len(), expected.len());

        let several = filter.labels.len() + usize::from(filter.name.is_some()) > 1;
        assert!(several || pages <= 3 + 1, "{filter:?}: pages are full, {pages}");
        for from in [None, Some(&Room(40_000)), Some(&Room(100))] {
            let blocks = blocks(&mut connection, &filter, from).await;
            let most = if several { BOUNDED } else { FEW };
            assert!(blocks <= most, "{blocks} blocks from {:?}: {filter:?}", from.map(|room| room.0));
        }
    }
}

/// Whoever is in the rooms of a page is not looked at for the hands that are up.
#[tokio::test]
async fn a_page_of_crowded_rooms_reads_their_raised_hands_and_not_the_crowd() {
    let db = TestDb::new().await;
    fill(&db, 1..=ROOMS).await;
    db.owner
        .execute(
            "INSERT INTO convoke.rm_participants (room, tenant, identity, role, present_since, sessions, tracks, hand)
             SELECT r.room, 'acme', 'p' || n, 'viewer', now(), '[]', '[]', CASE WHEN n <= 3 THEN 10 - n END
             FROM (SELECT room FROM convoke.rm_rooms WHERE tenant = 'acme' ORDER BY created_at DESC LIMIT 10) AS r,
                generate_series(1, 5000) AS n",
        )
        .await
        .unwrap();
    db.owner.execute("VACUUM ANALYZE").await.unwrap();
    let models = ReadModels::new(db.system.clone());
    let page = PageRequest { limit: 10, cursor: None };
    let found = models.rooms(&tenant("acme"), &RoomFilter::default(), page).await.unwrap();
    let hands: Vec<Vec<&str>> =
        found.items.iter().map(|room| room.hands.iter().map(|who| who.as_str()).collect()).collect();
    assert_eq!(hands, vec![vec!["p3", "p2", "p1"]; 10]);
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN (ANALYZE, BUFFERS) SELECT ARRAY(SELECT p.identity FROM convoke.rm_participants p
            WHERE p.room = r.room AND p.tenant = r.tenant AND p.hand IS NOT NULL ORDER BY p.hand)
         FROM convoke.rm_rooms r WHERE r.tenant = 'acme' AND r.status = 'open' ORDER BY r.created_at DESC LIMIT 10",
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("rm_participants_hands"), "{plan}");
}
