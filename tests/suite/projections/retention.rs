//! Models that grow lie in months of rooms, and let old ones go: what is left is what a fold of the log gives.

use std::time::Duration;

use convoke::config::RetentionConfig;
use convoke::events::log::EventLog;
use convoke::events::room::RoomEvent;
use convoke::events::time::Clock;
use convoke::projections::MODELS;
use convoke::projections::rebuild::{Rebuild, RebuildPurpose};
use convoke::projections::retention::{DroppedMonth, RetentionWorker};
use serde_json::json;
use sqlx::Executor as _;
use tokio_util::sync::CancellationToken;

use super::live::{Workers, checkpoint_of};
use super::story::Story;
use crate::harness::TestDb;

const MONTH: Duration = Duration::from_secs(31 * 86_400);

async fn round(db: &TestDb, kept: RetentionConfig) -> Vec<DroppedMonth> {
    RetentionWorker::new(db.system.clone(), kept, Clock::system()).round().await.unwrap()
}

/// Rows of a table by the partition they lie in: its month, or `others`.
async fn lies(db: &TestDb, table: &str) -> Vec<(String, i64)> {
    let statement = format!(
        "SELECT split_part(replace(tableoid::regclass::text, 'convoke.{table}_', ''), '_', 1), count(*)
         FROM convoke.{table} GROUP BY 1 ORDER BY 1"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(&db.owner).await.unwrap()
}

async fn proven(db: &TestDb, purpose: RebuildPurpose) {
    let log = EventLog::new(db.system.clone());
    for report in Rebuild::new(log, 100).run(MODELS, purpose, &CancellationToken::new()).await.unwrap() {
        assert!(report.comparison.is_equal(), "{report:?}");
        assert_eq!(report.digest, checkpoint_of(db, report.name).await.digest);
    }
}

fn end_all(story: &mut Story) {
    let keys: Vec<_> = story.rooms.keys().cloned().collect();
    for key in keys {
        story.ask(&key, "end-room", &json!({}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_of_a_month_without_a_partition_get_one_while_the_model_goes_on() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let workers = Workers::on(log.clone());
    let mut story = Story::new(91);
    story.born("2024-03-05T00:00:00Z").go_on(300).write(&log).await;
    workers.reach(story.history.len() as u64).await;
    let months = async |table| lies(&db, table).await.into_iter().map(|(month, _)| month).collect::<Vec<_>>();
    assert_eq!(months("rm_sessions").await, ["others"]);
    round(&db, RetentionConfig::default()).await;
    for table in ["rm_sessions", "rm_messages", "rm_activity_days"] {
        assert_eq!(months(table).await, ["202403"], "{table}");
    }
    // Rows that were on their way are found and written.
    story.go_on(300).write(&log).await;
    story.born("2024-05-01T00:00:00Z").go_on(300).write(&log).await;
    workers.reach(story.history.len() as u64).await;
    round(&db, RetentionConfig::default()).await;
    assert_eq!(months("rm_messages").await, ["202403", "202405"]);
    workers.stop().await;
    proven(&db, RebuildPurpose::Verify).await;
    proven(&db, RebuildPurpose::Rebuild).await;
    assert_eq!(months("rm_messages").await, ["202403", "202405"], "fresh tables have the same months");
    proven(&db, RebuildPurpose::Verify).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_whose_rooms_have_ended_is_let_go_of_and_a_rebuild_gives_the_rows_that_are_left() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let workers = Workers::on(log.clone());
    let mut story = Story::new(92);
    story.born("2024-03-05T00:00:00Z").go_on(400);
    end_all(&mut story);
    story.born("2024-04-05T00:00:00Z").go_on(400).write(&log).await;
    workers.reach(story.history.len() as u64).await;
    round(&db, RetentionConfig::default()).await;
    let sent = |months: &str| {
        let of = |told: &&super::story::StoryEvent| matches!(told.event, RoomEvent::MessageSent(_));
        let from: convoke::events::time::Timestamp = months.parse().unwrap();
        let from = u128::try_from(from.unix_micros() / 1000).unwrap();
        story.history.iter().filter(of).filter(|told| told.key.room.uuid().as_u128() >> 80 >= from).count() as i64
    };
    let (all, april) = (sent("2024-03-01T00:00:00Z"), sent("2024-04-01T00:00:00Z"));
    assert!(all > april && april > 0, "{all} {april}");
    assert_eq!(lies(&db, "rm_messages").await.iter().map(|(_, rows)| rows).sum::<i64>(), all);
    let kept = RetentionConfig { messages: Some(MONTH), activity: Some(MONTH), sessions: None };
    let gone = round(&db, kept.clone()).await;
    let months: Vec<_> = gone.iter().map(|gone| (gone.model, gone.month.to_string())).collect();
    let march = "2024-03-01T00:00:00.000000Z".to_owned();
    assert!(
        months.contains(&("messages", march.clone())) && months.contains(&("activity", march.clone())),
        "{months:?}"
    );
    assert!(!months.iter().any(|(_, month)| month.starts_with("2024-04")), "rooms of April have not ended: {months:?}");
    assert_eq!(lies(&db, "rm_messages").await, [("202404".to_owned(), april)]);
    assert_eq!(lies(&db, "rm_sessions").await.len(), 2, "stays are kept for ever");
    let rest: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM convoke.rm_activity_rooms WHERE room < convoke.room_id_from('2024-04-01Z')",
    )
    .fetch_one(&db.owner)
    .await
    .unwrap();
    assert_eq!(rest, 0);
    // The model goes on, and what it has is what a fold of the whole log gives.
    story.go_on(200).write(&log).await;
    workers.reach(story.history.len() as u64).await;
    assert_eq!(round(&db, kept.clone()).await, [], "what is gone is gone");
    proven(&db, RebuildPurpose::Verify).await;
    proven(&db, RebuildPurpose::Rebuild).await;
    end_all(&mut story);
    story.write(&log).await;
    workers.reach(story.history.len() as u64).await;
    let gone = round(&db, kept).await;
    assert!(
        gone.iter().any(|gone| gone.model == "messages" && gone.month.to_string().starts_with("2024-04")),
        "{gone:?}"
    );
    assert_eq!(lies(&db, "rm_messages").await, []);
    workers.stop().await;
    proven(&db, RebuildPurpose::Verify).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_is_not_let_go_of_under_a_rebuild_nor_while_a_room_of_it_is_open() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(93);
    let open = story.born("2024-03-05T00:00:00Z").open_room();
    story.go_on(100).write(&log).await;
    let workers = Workers::on(log.clone());
    workers.reach(story.history.len() as u64).await;
    let kept = RetentionConfig { messages: Some(MONTH), ..RetentionConfig::default() };
    round(&db, kept.clone()).await;
    let march = "SELECT count(*) FROM convoke.rm_forgotten WHERE month = '2024-03-01Z'";
    let forgotten = async || sqlx::query_scalar::<_, i64>(march).fetch_one(&db.owner).await.unwrap();
    assert!(story.rooms.contains_key(&open));
    assert_eq!(forgotten().await, 0);
    end_all(&mut story);
    story.write(&log).await;
    workers.reach(story.history.len() as u64).await;
    let under_way = "INSERT INTO convoke.projection_rebuilds (name, purpose, suffix, epoch, shape)
        SELECT 'messages', 'rebuild', '__r7', epoch, 1 FROM convoke.log_head";
    db.owner.execute(under_way).await.unwrap();
    db.owner.execute("SELECT convoke.rm_create(ARRAY['rm_messages', 'rm_message_readers'], '__r7')").await.unwrap();
    round(&db, kept.clone()).await;
    assert_eq!(forgotten().await, 0);
    db.owner.execute("DELETE FROM convoke.projection_rebuilds").await.unwrap();
    round(&db, kept).await;
    assert_eq!(forgotten().await, 1);
    workers.stop().await;
}
