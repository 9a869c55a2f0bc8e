//! The models asked: what they answer, and whom they answer.

use std::collections::BTreeSet;

use convoke::database::pool::Pool;
use convoke::events::log::EventLog;
use convoke::events::room::Audience;
use convoke::events::room::view::RoomStatus;
use convoke::ids::{Identity, TenantId};
use convoke::projections::MODELS;
use convoke::projections::messages::{Message, MessageReader};
use convoke::projections::read::{ModelPage, PageRequest, ReadError, ReadModels};
use convoke::projections::rebuild::{Rebuild, RebuildPurpose};
use convoke::projections::rooms::RoomFilter;
use sqlx::Executor as _;
use tokio_util::sync::CancellationToken;

use super::live::Workers;
use super::people;
use super::story::{Story, tenant};
use crate::harness::TestDb;

const ALL: PageRequest<'static> = PageRequest { limit: 1_000, cursor: None };

async fn story_and_models(db: &TestDb, seed: u64, commands: usize) -> (Story, ReadModels) {
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(seed);
    story.go_on(commands).write(&log).await;
    let workers = Workers::on(log);
    workers.reach(story.history.len() as u64).await;
    workers.stop().await;
    (story, ReadModels::new(db.system.clone()))
}

/// All pages of a list, few items at a time.
pub async fn pages<T>(mut page: impl AsyncFnMut(PageRequest<'_>) -> Result<ModelPage<T>, ReadError>) -> Vec<T> {
    let mut items = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let found = page(PageRequest { limit: 3, cursor: cursor.as_deref() }).await.unwrap();
        assert!(found.items.len() <= 3);
        items.extend(found.items);
        match found.next_cursor {
            Some(next) => cursor = Some(next),
            None => return items,
        }
    }
}

#[tokio::test]
async fn rooms_and_people_are_answered_as_the_rules_have_them() {
    let db = TestDb::new().await;
    let (story, models) = story_and_models(&db, 21, 800).await;
    let views = people::rooms(&models, story.rooms.keys()).await;
    for (key, (room, version)) in &story.rooms {
        assert_eq!(views.get(key), room.view(key.room, *version).as_ref());
        assert_eq!(people::participants(&db.system, key).await, room.participants());
        assert_eq!(people::waiting(&db.system, key).await, room.waiting());
        let sessions = pages(async |page| models.sessions(&key.tenant, key.room, page).await).await;
        assert!(sessions.is_sorted_by_key(|session| session.session));
        let open = sessions.iter().filter(|session| session.left_at.is_none()).count();
        assert_eq!(open, expected_stays(room), "those who are there have not left");
    }
}

fn expected_stays(room: &convoke::commands::room::state::Room) -> usize {
    room.participants().iter().map(|participant| participant.view.sessions.len()).sum()
}

#[tokio::test]
async fn lists_of_rooms_are_filtered_and_paged_the_newest_first() {
    let db = TestDb::new().await;
    let (story, models) = story_and_models(&db, 22, 1_500).await;
    let acme = tenant("acme");
    let mut views: Vec<_> = story
        .rooms
        .iter()
        .filter(|(key, _)| key.tenant == acme)
        .filter_map(|(key, (room, version))| room.view(key.room, *version))
        .collect();
    views.sort_by_key(|view| std::cmp::Reverse((view.created_at, view.id)));
    assert!(views.len() > 10);
    let middle = views[views.len() / 2].created_at;
    let named = views.iter().find_map(|view| view.name.clone()).unwrap();
    let label = |value: &str| vec![("team".to_owned(), value.to_owned())];
    let both = vec![("floor".to_owned(), "1".to_owned()), ("team".to_owned(), "red".to_owned())];
    let filters = [
        RoomFilter::default(),
        RoomFilter { status: Some(RoomStatus::Open), ..RoomFilter::default() },
        RoomFilter { name: Some(named), ..RoomFilter::default() },
        RoomFilter { labels: label("red"), ..RoomFilter::default() },
        RoomFilter { labels: label("green"), status: Some(RoomStatus::Open), ..RoomFilter::default() },
        RoomFilter { labels: both, ..RoomFilter::default() },
        RoomFilter { created_after: Some(middle), ..RoomFilter::default() },
        RoomFilter { created_before: Some(middle), status: Some(RoomStatus::Ended), ..RoomFilter::default() },
    ];
    for filter in filters {
        let expected: Vec<_> = views
            .iter()
            .filter(|view| filter.name.is_none() || view.name == filter.name)
            .filter(|view| filter.status.is_none_or(|status| view.status == status))
            .filter(|view| filter.labels.iter().all(|(label, value)| view.settings.labels.get(label) == Some(value)))
            .filter(|view| filter.created_after.is_none_or(|time| view.created_at > time))
            .filter(|view| filter.created_before.is_none_or(|time| view.created_at < time))
            .cloned()
            .collect();
        let found = pages(async |page| models.rooms(&acme, &filter, page).await).await;
        assert_eq!(found, expected, "{filter:?}");
    }
    let bad = models.rooms(&acme, &RoomFilter::default(), PageRequest { limit: 3, cursor: Some("AAAA") }).await;
    assert!(matches!(bad, Err(ReadError::BadCursor)));
}

#[tokio::test]
async fn readers_get_the_messages_that_are_for_them_in_both_directions() {
    let db = TestDb::new().await;
    let (story, models) = story_and_models(&db, 23, 2_000).await;
    let ann = Identity::new("ann").unwrap();
    let mut shown = 0;
    for key in story.rooms.keys() {
        let all =
            pages(async |page| models.messages(&key.tenant, key.room, MessageReader::All, false, page).await).await;
        assert!(all.is_sorted_by_key(|message| message.version));
        for (identity, staff) in [(None, false), (Some(&ann), false), (Some(&ann), true), (None, true)] {
            let reader = MessageReader::Person { identity, staff };
            let may = |message: &&Message| match &message.to {
                Audience::Everyone => true,
                Audience::Staff => staff || identity == Some(&message.author),
                Audience::Identities(named) => {
                    identity.is_some_and(|reader| *reader == message.author || named.contains(reader))
                }
            };
            let expected: Vec<_> = all.iter().filter(may).cloned().collect();
            let found = pages(async |page| models.messages(&key.tenant, key.room, reader, false, page).await).await;
            assert_eq!(found, expected);
            let mut back = pages(async |page| models.messages(&key.tenant, key.room, reader, true, page).await).await;
            back.reverse();
            assert_eq!(back, expected);
            shown += found.len();
        }
    }
    assert!(shown > 100, "there was something to read");
}

/// How many rows of whom a transaction sees that says it is this tenant.
async fn seen(pool: &Pool, table: &str, tenant: Option<&TenantId>) -> BTreeSet<String> {
    let mut transaction = pool.begin().await.unwrap();
    transaction.execute("SET LOCAL ROLE convoke_tenant").await.unwrap();
    if let Some(tenant) = tenant {
        sqlx::query("SELECT set_config('convoke.tenant', $1, true)")
            .bind(tenant.as_str())
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    let statement = format!("SELECT DISTINCT tenant FROM convoke.{table}");
    let found: Vec<String> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_all(&mut *transaction).await.unwrap();
    let changed = format!("DELETE FROM convoke.{table}");
    let refused = transaction.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(changed))).await.unwrap_err();
    assert_eq!(refused.as_database_error().and_then(|e| e.code()).as_deref(), Some("42501"));
    found.into_iter().collect()
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows_and_changes_none() {
    let db = TestDb::new().await;
    let (story, models) = story_and_models(&db, 24, 1_500).await;
    for swapped in [false, true] {
        if swapped {
            let log = EventLog::new(db.system.clone());
            Rebuild::new(log, 1_000).run(MODELS, RebuildPurpose::Rebuild, &CancellationToken::new()).await.unwrap();
        }
        for table in MODELS.iter().flat_map(|model| model.table_names()) {
            for name in ["acme", "other"] {
                let found = seen(&db.system, table, Some(&tenant(name))).await;
                assert!(found.iter().all(|tenant| tenant == name), "{table}: {found:?}");
            }
            assert_eq!(seen(&db.system, table, None).await, BTreeSet::new(), "{table}");
        }
        assert_eq!(seen(&db.system, "rm_rooms", Some(&tenant("acme"))).await.len(), 1);
        for key in story.rooms.keys() {
            let stranger = tenant(if key.tenant.as_str() == "acme" { "other" } else { "acme" });
            let rooms = models.rooms(&stranger, &RoomFilter::default(), ALL).await.unwrap();
            assert!(rooms.items.iter().all(|room| room.id != key.room));
            assert!(models.sessions(&stranger, key.room, ALL).await.unwrap().items.is_empty());
            let messages = models.messages(&stranger, key.room, MessageReader::All, false, ALL).await.unwrap();
            assert!(messages.items.is_empty());
        }
    }
}
