//! Workers on a real log: they keep up, hand over, stop where they cannot go on.

use std::time::Duration;

use convoke::database::pool;
use convoke::events::log::EventLog;
use convoke::projections::MODELS;
use convoke::projections::checkpoint::{self, Checkpoint, CheckpointStep, ModelStatus};
use convoke::projections::live::{ProjectionProgress, ProjectionRunner, SharedLogReader, WaitError};
use convoke::projections::model::ModelInfo;
use convoke::projections::overview;
use convoke::projections::rooms::RoomsModel;
use convoke::telemetry::metrics::Metrics;
use sqlx::Executor as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::memory::Memory;
use super::story::Story;
use crate::harness::{TestDb, database_config, eventually};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// The workers of one process.
pub struct Workers {
    pub progress: ProjectionProgress,
    pub metrics: Metrics,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Workers {
    /// On a pool of their own, as another process has.
    pub fn start(db: &TestDb) -> Self {
        let log = EventLog::new(pool::system(db.options.clone(), &database_config()));
        Self::on(log)
    }

    /// In the process that appends.
    pub fn on(log: EventLog) -> Self {
        let progress = ProjectionProgress::new(log.pool().clone(), MODELS);
        let (stop, metrics) = (CancellationToken::new(), Metrics::new());
        let runner = ProjectionRunner::new(SharedLogReader::new(log, None), progress.clone(), metrics.clone(), 100);
        let running = tokio::spawn(runner.run(stop.clone()));
        Self { progress, metrics, stop, running }
    }

    pub async fn reach(&self, position: u64) {
        reach(&self.progress, position).await;
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

pub async fn reach(progress: &ProjectionProgress, position: u64) {
    for model in MODELS {
        progress.wait_for(model.name, position, PATIENCE, &CancellationToken::new()).await.unwrap();
    }
}

pub async fn checkpoint_of(db: &TestDb, name: &str) -> Checkpoint {
    let mut connection = db.system.acquire().await.unwrap();
    checkpoint::find(&mut connection, name).await.unwrap()
}

/// What a fold in memory gives for all of a story.
fn digest_of_rooms(story: &Story) -> convoke::projections::rows::Digest {
    let mut memory = Memory::default();
    memory.take(&mut RoomsModel::default(), &story.entries());
    memory.digest
}

#[tokio::test]
async fn workers_follow_the_log_to_its_end() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let workers = Workers::on(log.clone());
    let mut story = Story::new(1);
    for _ in 0..10 {
        story.go_on(30).write(&log).await;
        workers.reach(story.history.len() as u64).await;
    }
    workers.stop().await;
    let found = checkpoint_of(&db, "rooms").await;
    assert_eq!((found.position, found.status), (story.history.len() as u64, ModelStatus::Running));
    let views = overview::all(&db.system).await.unwrap();
    assert_eq!(
        views.iter().map(|view| (&*view.name, view.lag_events)).collect::<Vec<_>>(),
        [("activity", 0), ("messages", 0), ("rooms", 0), ("sessions", 0), ("usage", 0)]
    );
}

#[tokio::test]
async fn of_two_processes_one_works_and_the_other_takes_over() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(2);
    story.go_on(50).write(&log).await;
    let first = Workers::start(&db);
    first.reach(story.history.len() as u64).await;
    let worker = checkpoint_of(&db, "rooms").await.worker;
    let second = Workers::start(&db);
    story.go_on(50).write(&log).await;
    // The second process knows of it although the first one works.
    second.reach(story.history.len() as u64).await;
    assert_eq!(checkpoint_of(&db, "rooms").await.worker, worker, "the second did not meddle");
    first.stop().await;
    story.go_on(50).write(&log).await;
    second.reach(story.history.len() as u64).await;
    assert_ne!(checkpoint_of(&db, "rooms").await.worker, worker);
    second.stop().await;
    let expected = {
        // Recorded and occurred times are the log's own here.
        let mut memory = Memory::default();
        let envelopes = log.read(0, usize::MAX >> 1).await.unwrap();
        let entries: Vec<_> = envelopes
            .iter()
            .map(|envelope| convoke::projections::decoded_event::DecodedEvent::of(envelope).unwrap())
            .collect();
        memory.take(&mut RoomsModel::default(), &entries);
        memory.digest
    };
    assert_eq!(checkpoint_of(&db, "rooms").await.digest, expected);
    assert_eq!(digest_of_rooms(&story), expected, "by occurred time, which the log keeps");
}

#[tokio::test]
async fn a_worker_that_was_replaced_writes_nothing() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(3);
    story.go_on(20).write(&log).await;
    let rooms = ModelInfo::of::<RoomsModel>();
    let mut connection = db.system.acquire().await.unwrap();
    let mut zombie = Checkpoint::claim(&mut connection, &rooms, Uuid::new_v4()).await.unwrap();
    let mut worker = Checkpoint::claim(&mut connection, &rooms, Uuid::new_v4()).await.unwrap();
    let step =
        CheckpointStep { position: 5, recorded_at: "2030-01-01T00:00:00Z".parse().unwrap(), digest: worker.digest };
    assert!(!zombie.advance(&mut connection, &step).await.unwrap());
    assert!(worker.advance(&mut connection, &step).await.unwrap());
    worker.stepped(&step);
    assert!(!zombie.advance(&mut connection, &step).await.unwrap());
    // Nor does a worker whose tables were swapped, or whose log is of another epoch by now.
    let later = CheckpointStep { position: 6, ..step };
    db.owner.execute("UPDATE convoke.projections SET generation = generation + 1").await.unwrap();
    assert!(!worker.advance(&mut connection, &later).await.unwrap());
    worker.generation += 1;
    db.owner.execute("UPDATE convoke.log_head SET epoch = gen_random_uuid()").await.unwrap();
    assert!(!worker.advance(&mut connection, &later).await.unwrap());
    assert_eq!(checkpoint_of(&db, "rooms").await.position, 5);
}

/// Appends a story, an event that nobody can read, and more story.
#[tokio::test]
async fn an_event_that_cannot_be_read_stops_a_model_visibly_and_is_never_skipped() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(4);
    story.go_on(40).write(&log).await;
    let before = story.history.len() as u64;
    story.write_unreadable(&log).await;
    story.go_on(10).write(&log).await;
    let workers = Workers::start(&db);
    let stop = CancellationToken::new();
    let error = workers.progress.wait_for("rooms", before + 1, PATIENCE, &stop).await.unwrap_err();
    let WaitError::Stopped { at, error, .. } = error else { panic!("{error}") };
    assert_eq!(at, before);
    assert!(error.contains("room.teleported v1"), "{error}");
    let views = overview::all(&db.system).await.unwrap();
    let rooms = views.iter().find(|view| view.name == "rooms").unwrap();
    assert_eq!(rooms.failed_position, Some(before + 1));
    assert_eq!(rooms.position, before);
    // What was applied before is there, and can be asked for.
    workers.reach(before).await;
    workers.stop().await;
    // Another process tries, and says the same.
    let again = Workers::start(&db);
    assert!(again.progress.wait_for("rooms", before + 1, PATIENCE, &stop).await.is_err());
    again.stop().await;
    assert_eq!(checkpoint_of(&db, "rooms").await.position, before);
}

#[tokio::test]
async fn a_row_that_the_database_refuses_stops_its_own_model_at_that_event_only() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(5);
    story.go_on(40);
    let before = story.history.len() as u64;
    // No rule lets a NUL through; an older program might have.
    story.create_named("a\0b");
    story.go_on(200).write(&log).await;
    let workers = Workers::start(&db);
    let (stop, end) = (CancellationToken::new(), story.history.len() as u64);
    workers.progress.wait_for("sessions", end, PATIENCE, &stop).await.unwrap();
    workers.progress.wait_for("messages", end, PATIENCE, &stop).await.unwrap();
    let error = workers.progress.wait_for("rooms", end, PATIENCE, &stop).await.unwrap_err();
    assert!(matches!(error, WaitError::Stopped { at, .. } if at == before), "{error}");
    let ModelStatus::Stopped { failed_position, .. } = checkpoint_of(&db, "rooms").await.status else { panic!() };
    assert_eq!(failed_position, Some(before + 1));
    workers.stop().await;
}

#[tokio::test]
async fn a_model_ahead_of_the_log_or_of_another_epoch_stops_and_says_so() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(6);
    story.go_on(20).write(&log).await;
    let end = story.history.len() as u64;
    let workers = Workers::start(&db);
    workers.reach(end).await;
    workers.stop().await;
    db.owner.execute("UPDATE convoke.projections SET position = position + 7 WHERE name = 'rooms'").await.unwrap();
    db.owner.execute("UPDATE convoke.projections SET epoch = gen_random_uuid() WHERE name = 'sessions'").await.unwrap();
    db.owner.execute("UPDATE convoke.projections SET shape = 0 WHERE name = 'messages'").await.unwrap();
    let workers = Workers::start(&db);
    for (name, word) in [("rooms", "events were lost"), ("sessions", "epoch"), ("messages", "shape 0")] {
        let error = eventually("the model stops", PATIENCE, async || match checkpoint_of(&db, name).await.status {
            ModelStatus::Stopped { error, .. } => Some(error),
            ModelStatus::Running => None,
        })
        .await;
        assert!(error.contains(word) && error.contains("projection rebuild"), "{error}");
    }
    workers.stop().await;
}

#[tokio::test]
async fn waiting_for_a_position_ends_in_time() {
    let db = TestDb::new().await;
    let workers = Workers::start(&db);
    let stop = CancellationToken::new();
    let error = workers.progress.wait_for("rooms", 1, Duration::from_millis(50), &stop).await.unwrap_err();
    assert!(matches!(error, WaitError::TimedOut { at: 0, wanted: 1, .. }), "{error}");
    stop.cancel();
    let error = workers.progress.wait_for("rooms", 1, PATIENCE, &stop).await.unwrap_err();
    assert!(matches!(error, WaitError::Stopping), "{error}");
    workers.stop().await;
}

/// Workers do not wait for the disk: a server that crashes comes back with less than they had done.
#[tokio::test]
async fn what_a_crash_of_the_server_took_back_is_not_taken_for_there() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let workers = Workers::start(&db);
    let mut story = Story::new(9);
    story.go_on(20).write(&log).await;
    let told = story.history.len() as u64;
    workers.reach(told).await;
    let (elsewhere, stop) = (ProjectionProgress::new(db.system.clone(), MODELS), CancellationToken::new());
    reach(&elsewhere, told).await;
    let here = workers.progress.clone();
    workers.stop().await;
    db.owner.execute("UPDATE convoke.projections SET position = position - 1").await.unwrap();
    for progress in [here, elsewhere] {
        let error = progress.wait_for("rooms", told, Duration::from_millis(50), &stop).await.unwrap_err();
        assert!(matches!(error, WaitError::TimedOut { at, .. } if at == told - 1), "{error}");
    }
}

#[tokio::test]
async fn a_lost_database_connection_is_ridden_out() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let workers = Workers::start(&db);
    let mut story = Story::new(7);
    story.go_on(20).write(&log).await;
    workers.reach(story.history.len() as u64).await;
    let mut superuser = sqlx::ConnectOptions::connect(&db.superuser()).await.unwrap();
    superuser
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
    let log = EventLog::new(pool::system(db.options.clone(), &database_config()));
    story.go_on(20).write(&log).await;
    // Who waits may meet the lost connection too, and is told so; it does not last.
    let (told, stop) = (story.history.len() as u64, CancellationToken::new());
    for model in MODELS {
        eventually("the model goes on", PATIENCE, async || {
            match workers.progress.wait_for(model.name, told, PATIENCE, &stop).await {
                Ok(()) => Some(()),
                Err(WaitError::Unavailable(_)) => None,
                Err(other) => panic!("{other}"),
            }
        })
        .await;
    }
    workers.stop().await;
}

#[tokio::test]
async fn metrics_tell_where_each_model_stands() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let workers = Workers::on(log.clone());
    let mut story = Story::new(8);
    story.open_room();
    story.write(&log).await;
    workers.reach(1).await;
    let text = workers.metrics.encode().unwrap();
    assert!(text.contains("convoke_projection_position{projection=\"rooms\"} 1"), "{text}");
    assert!(text.contains("convoke_projection_lag_events{projection=\"rooms\"} 0"), "{text}");
    assert!(text.contains("convoke_projection_stopped{projection=\"rooms\"} 0"), "{text}");
    workers.stop().await;
}
