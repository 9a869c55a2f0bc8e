//! By which way the read models find their rows: every statement that a query or a fold sends, on tables so full that the
//! planner has a choice.

use std::time::Duration;

use convoke::database::pool::Pool;
use convoke::events::feed::EventWindow;
use convoke::events::log::EventLog;
use convoke::events::room::view::RoomStatus;
use convoke::events::time::Clock;
use convoke::ids::{Identity, RoomId};
use convoke::live::cache::Cache;
use convoke::live::rooms::{self, RoomStates};
use convoke::projections::activity::{ActivityModel, HourQuery};
use convoke::projections::decoded_event::DecodedEvent;
use convoke::projections::live::ProjectionProgress;
use convoke::projections::messages::{MessageReader, MessagesModel};
use convoke::projections::model::ReadModel;
use convoke::projections::read::{PageRequest, ReadModels};
use convoke::projections::retention_filter::RetentionFilter;
use convoke::projections::rooms::{RoomFilter, RoomsModel, due};
use convoke::projections::rows::TableSet;
use convoke::projections::sessions::SessionsModel;
use convoke::projections::usage::{DayQuery, UsageModel};
use convoke::projections::{MODELS, apply};
use convoke::telemetry::metrics::Metrics;
use sqlx::{Executor as _, PgConnection, Row as _};
use tokio_util::sync::CancellationToken;

use super::story::{Dice, Story, tenant};
use super::wild::Wild;
use crate::harness::{TestDb, database_config};

const ALL: PageRequest<'static> = PageRequest { limit: 1_000, cursor: None };

/// The tenant of the room `r` of which this is the number.
const TENANT: &str = "CASE WHEN (NUMBER) % 2 = 0 THEN 'acme' ELSE 't' || (NUMBER) % 50 END";

/// Many rows, written behind the models' back. Rooms are numbered; those of an even number are one tenant's.
const FILLING: [&str; 18] = [
    "INSERT INTO convoke.rm_rooms (room, tenant, version, status, name, created_at, settings, locked, participant_count,
        waiting_count, due_at)
     SELECT md5('r' || n)::uuid, TENANT(n), 1, CASE WHEN n % 20 = 0 THEN 'open' ELSE 'ended' END, 'name-' || n % 500,
        now() - n * interval '1 minute',
        '{\"labels\": {}, \"publish\": {\"audio\": [], \"video\": [], \"screen\": []}}', false, 0, 0,
        CASE WHEN n % 20 = 0 THEN now() + n * interval '1 minute' END
     FROM generate_series(1, 50000) n",
    "INSERT INTO convoke.rm_room_labels (room, tenant, label, value, status, created_at)
     SELECT room, tenant, 'team', 'v' || (row_number() OVER ()) % 20, status, created_at FROM convoke.rm_rooms",
    "INSERT INTO convoke.rm_participants (room, tenant, identity, role, present_since, sessions, tracks, hand)
     SELECT md5('r' || 1 + n % 300)::uuid, TENANT(1 + n % 300), 'p' || n, 'viewer', now(), '[]', '[]',
        CASE WHEN n % 100 = 0 THEN n END
     FROM generate_series(1, 50000) n",
    "INSERT INTO convoke.rm_waiting (room, tenant, identity, session, role, since, waiting_since, admitted)
     SELECT room, tenant, identity, gen_random_uuid(), role, row_number() OVER (), now(), false
     FROM convoke.rm_participants",
    "INSERT INTO convoke.rm_tracks (room, tenant, track, identity)
     SELECT room, tenant, gen_random_uuid(), identity FROM convoke.rm_participants",
    "INSERT INTO convoke.rm_sessions (room, tenant, session, identity, role, joined_at, left_at)
     SELECT md5('r' || 1 + n % 300)::uuid, TENANT(1 + n % 300), gen_random_uuid(), 'p' || n % 7000, 'viewer', now(), now()
     FROM generate_series(1, 300000) n",
    "INSERT INTO convoke.rm_messages (room, tenant, audience, version, author, sent_at, deleted_by_staff)
     SELECT md5('r' || 1 + n % 300)::uuid, TENANT(1 + n % 300), (n / 300) % 3, n, 'p' || n % 7000, now(), false
     FROM generate_series(1, 300000) n",
    "INSERT INTO convoke.rm_message_readers (room, tenant, reader, version, audience)
     SELECT room, tenant, author, version, audience FROM convoke.rm_messages WHERE audience <> 0",
    "INSERT INTO convoke.rm_activity_rooms (room, tenant, latest, ended)
     SELECT room, tenant, now(), false FROM convoke.rm_rooms",
    "INSERT INTO convoke.rm_activity_stays (room, tenant, session, joined_at, screens)
     SELECT room, tenant, gen_random_uuid(), now(), '[]' FROM convoke.rm_participants",
    "INSERT INTO convoke.rm_activity_screens (room, tenant, track, session)
     SELECT room, tenant, gen_random_uuid(), gen_random_uuid() FROM convoke.rm_participants",
    "INSERT INTO convoke.rm_activity_minutes (room, tenant, minute, steps)
     SELECT md5('r' || 1 + n % 300)::uuid, TENANT(1 + n % 300), date_trunc('hour', now()) - n / 300 * interval '1 minute', ''
     FROM generate_series(0, 299999) n",
    "INSERT INTO convoke.rm_activity_hours (room, tenant, hour, screens, minutes)
     SELECT md5('r' || 1 + n % 300)::uuid, TENANT(1 + n % 300), date_trunc('hour', now()) - n / 300 * interval '1 hour', '', ''
     FROM generate_series(0, 299999) n",
    "INSERT INTO convoke.rm_activity_days (room, tenant, day, net, screens_net, hours)
     SELECT md5('r' || 1 + n % 300)::uuid, TENANT(1 + n % 300), date_trunc('day', now()) - n / 300 * interval '1 day', 0, 0, ''
     FROM generate_series(0, 299999) n",
    "INSERT INTO convoke.rm_usage_tenants (tenant, latest)
     SELECT CASE WHEN n = 0 THEN 'acme' ELSE 't' || n END, now() FROM generate_series(0, 19999) n",
    "INSERT INTO convoke.rm_usage_stays (room, tenant, session, joined_at)
     SELECT room, tenant, gen_random_uuid(), now() FROM convoke.rm_participants",
    "INSERT INTO convoke.rm_usage_slices (tenant, slice, steps)
     SELECT CASE WHEN n % 50 = 0 THEN 'acme' ELSE 't' || n % 50 END, date_trunc('hour', now()) - n / 50 * interval '5 minutes',
        ''
     FROM generate_series(0, 299999) n",
    "INSERT INTO convoke.rm_usage_days (tenant, day, joins, net, peak, area_us, slices)
     SELECT CASE WHEN n % 50 = 0 THEN 'acme' ELSE 't' || n % 50 END, date_trunc('day', now()) - n / 50 * interval '1 day',
        1, 0, 1, 1, ''
     FROM generate_series(0, 49999) n",
];

/// Rows in each table, at least, from which on nothing may read it from end to end.
const BIG: i64 = 10_000;

async fn fill(db: &TestDb) -> RoomId {
    for statement in FILLING {
        let mut statement = statement.to_owned();
        for number in ["n", "1 + n % 300"] {
            statement = statement.replace(&format!("TENANT({number})"), &TENANT.replace("NUMBER", number));
        }
        db.owner.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement))).await.unwrap();
    }
    db.owner.execute("ANALYZE").await.unwrap();
    let tables: Vec<_> = MODELS.iter().flat_map(|model| model.table_names()).collect();
    let small: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relname = ANY($1) AND relkind = 'r' AND reltuples < $2",
    )
    .bind(tables)
    .bind(BIG)
    .fetch_all(&db.owner)
    .await
    .unwrap();
    assert!(small.is_empty(), "to be filled as well: {small:?}");
    let room = sqlx::query_scalar("SELECT md5('r' || 2)::uuid").fetch_one(&db.owner).await.unwrap();
    RoomId::from_uuid(room)
}

/// Asks everything that can be asked, once.
async fn ask_everything(pool: &Pool, room: RoomId) {
    let models = ReadModels::new(pool.clone());
    let (acme, ann) = (tenant("acme"), Identity::new("p1").unwrap());
    let next = models.rooms(&acme, &RoomFilter::default(), PageRequest { limit: 3, cursor: None }).await.unwrap();
    let cursor = next.next_cursor.unwrap();
    let page = PageRequest { limit: 3, cursor: Some(&cursor) };
    let label = |name: &str| (name.to_owned(), "v1".to_owned());
    let time = Some("2020-01-01T00:00:00Z".parse().unwrap());
    for filter in [
        RoomFilter::default(),
        RoomFilter { status: Some(RoomStatus::Open), created_after: time, ..RoomFilter::default() },
        RoomFilter { name: Some("name-1".into()), created_before: time, ..RoomFilter::default() },
        RoomFilter { labels: vec![label("team")], ..RoomFilter::default() },
        RoomFilter {
            labels: vec![label("team"), label("floor")],
            status: Some(RoomStatus::Ended),
            ..RoomFilter::default()
        },
    ] {
        models.rooms(&acme, &filter, page).await.unwrap();
    }
    cache_on(pool).warm().await.unwrap();
    models.sessions(&acme, room, ALL).await.unwrap();
    for newest_first in [false, true] {
        models.messages(&acme, room, MessageReader::All, newest_first, ALL).await.unwrap();
        for staff in [false, true] {
            let reader = MessageReader::Person { identity: Some(&ann), staff };
            models.messages(&acme, room, reader, newest_first, ALL).await.unwrap();
        }
    }
    models.ever_stayed(&acme, room, &ann).await.unwrap();
    let as_of = "2030-01-01T00:00:00Z".parse().unwrap();
    for identity in [None, Some(&ann)] {
        models.attendance(&acme, room, identity, as_of, ALL).await.unwrap();
    }
    models.activity(&acme, room, HourQuery { from: None, until: None, as_of }, ALL).await.unwrap();
    models.usage(&acme, DayQuery { from: None, until: None, as_of }, ALL).await.unwrap();
    due(pool, as_of, 10).await.unwrap();
}

/// One without memory, which looks for open rooms and loads none.
fn cache_on(pool: &Pool) -> Cache {
    let (metrics, log) = (Metrics::new(), EventLog::new(pool.clone()));
    let rooms = RoomStates::new(rooms::RoomStatesParts {
        log,
        window: EventWindow::default(),
        models: ReadModels::new(pool.clone()),
        progress: ProjectionProgress::new(pool.clone(), MODELS),
        snapshot_interval: 100,
        snapshots: None,
        metrics: metrics.cache().clone(),
        clock: Clock::system(),
        memory: 0,
        patience: Duration::ZERO,
        stop: CancellationToken::new(),
    });
    Cache { rooms, snapshots: None, metrics: metrics.cache().clone(), pool: pool.clone() }
}

/// Folds as a worker that begins anew with each batch: what it needs is read, what changes is written.
async fn fold<M: ReadModel>(connection: &mut PgConnection, entries: &[DecodedEvent]) {
    for batch in entries.chunks(200) {
        let mut model = M::default();
        apply::load(&mut model, connection, &TableSet::Live, &RetentionFilter::default(), batch).await.unwrap();
        let changes = apply::fold(&mut model, &RetentionFilter::default(), batch);
        apply::write(connection, &TableSet::Live, &changes).await.unwrap();
    }
}

async fn fold_everything(pool: &Pool) {
    let mut story = Story::new(81);
    Wild::tell(story.go_on(3_000), &mut Dice::new(82), tenant("acme"), 600);
    let entries = story.entries();
    let mut connection = pool.acquire().await.unwrap();
    fold::<RoomsModel>(&mut connection, &entries).await;
    fold::<SessionsModel>(&mut connection, &entries).await;
    fold::<MessagesModel>(&mut connection, &entries).await;
    fold::<ActivityModel>(&mut connection, &entries).await;
    fold::<UsageModel>(&mut connection, &entries).await;
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    let db = TestDb::new().await;
    let room = fill(&db).await;
    // One connection, which remembers every statement that it prepared.
    let config = convoke::config::DatabaseConfig { pool_size: 1, ..database_config() };
    let one = convoke::database::pool::system(db.options.clone().statement_cache_capacity(1_000), &config);
    ask_everything(&one, room).await;
    fold_everything(&one).await;

    let mut connection = one.acquire().await.unwrap();
    let statements: Vec<(String, String, Vec<String>)> = sqlx::query_as(
        "SELECT name, statement, parameter_types::text[] FROM pg_prepared_statements WHERE statement LIKE '%.rm\\_%'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let of = |word: &str| statements.iter().filter(|(_, statement, _)| statement.starts_with(word)).count();
    // Each table is written, nearly all are read by key, changed and deleted from.
    let tables = MODELS.iter().map(|model| model.tables.len()).sum::<usize>();
    assert_eq!(of("INSERT"), tables);
    let counts = (of("SELECT"), of("UPDATE"), of("DELETE"));
    assert!(counts.0 > 30 && counts.1 >= 10 && counts.2 >= 5, "{counts:?}");
    connection.execute("SET convoke.tenant = 'acme'").await.unwrap();
    for (name, statement, parameters) in statements {
        // Queries of tenants are asked under their role, under which there is more to plan.
        let of_all = ["UNNEST", "due_at <=", "SELECT tenant, room\n"].iter().any(|part| statement.contains(part));
        let tenants = statement.starts_with("SELECT") && !of_all;
        let role = if tenants { "convoke_tenant" } else { "convoke_system" };
        // Which month is looked into is decided by the room.
        let id = format!("'{}'", room.uuid());
        let values: Vec<&str> =
            parameters.iter().map(|kind| if kind == "uuid" { id.as_str() } else { "NULL" }).collect();
        let explain = format!("SET ROLE {role}; EXPLAIN EXECUTE {name}({})", values.join(", "));
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(explain)).fetch_all(&mut *connection).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let plan = plan.join("\n");
        for scanned in plan.split("Seq Scan on ").skip(1) {
            // A month in which nothing lies yet costs nothing.
            let table = scanned.split_whitespace().next().unwrap();
            // One row a model.
            if table == "projections" {
                continue;
            }
            let rows = format!("SELECT count(*) FROM convoke.{table}");
            let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_one(&db.owner).await.unwrap();
            assert_eq!(rows, 0, "{statement}\n{plan}");
        }
        assert!(plan.contains("Index") || statement.starts_with("INSERT"), "{statement}\n{plan}");
    }
}
