//! Models folded anew: proven equal, swapped in while all goes on, resumed after a kill.

use std::process::Stdio;

use convoke::events::log::EventLog;
use convoke::projections::MODELS;
use convoke::projections::messages::MessageReader;
use convoke::projections::read::{PageRequest, ReadModels};
use convoke::projections::rebuild::{Comparison, Rebuild, RebuildError, RebuildProgress, RebuildPurpose};
use convoke::projections::rooms::RoomFilter;
use sqlx::Executor as _;
use tokio_util::sync::CancellationToken;

use super::live::{PATIENCE, Workers, checkpoint_of};
use super::people;
use super::story::{Story, tenant};
use crate::harness::{Run, TestDb, eventually};

const ALL: PageRequest<'static> = PageRequest { limit: 1_000, cursor: None };

async fn rebuild(
    db: &TestDb,
    purpose: RebuildPurpose,
    batch: usize,
) -> Vec<convoke::projections::rebuild::RebuildReport> {
    let log = EventLog::new(db.system.clone());
    Rebuild::new(log, batch).run(MODELS, purpose, &CancellationToken::new()).await.unwrap()
}

async fn tables(db: &TestDb) -> Vec<String> {
    let statement = "SELECT relname::text FROM pg_class WHERE relname LIKE 'rm\\_%\\_\\_%' ORDER BY 1";
    sqlx::query_scalar(statement).fetch_all(&db.owner).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rebuild_gives_the_same_rows_while_appends_and_queries_go_on() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let workers = Workers::on(log.clone());
    let mut story = Story::new(11);
    story.go_on(600).write(&log).await;
    workers.reach(story.history.len() as u64).await;

    let stop = CancellationToken::new();
    let asking = {
        let (models, stop) = (ReadModels::new(db.system.clone()), stop.clone());
        tokio::spawn(async move {
            let mut asked = 0;
            while !stop.is_cancelled() {
                let rooms = models.rooms(&tenant("acme"), &RoomFilter::default(), ALL).await.unwrap();
                for room in &rooms.items {
                    models.sessions(&tenant("acme"), room.id, ALL).await.unwrap();
                    models.messages(&tenant("acme"), room.id, MessageReader::All, false, ALL).await.unwrap();
                }
                assert!(!rooms.items.is_empty());
                asked += 1;
            }
            asked
        })
    };
    let writing = {
        let (log, stop) = (log.clone(), stop.clone());
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                story.go_on(10).write(&log).await;
            }
            story
        })
    };
    for round in 1..=3 {
        for report in rebuild(&db, RebuildPurpose::Rebuild, 50).await {
            assert!(report.comparison.is_equal(), "{report:?}");
            assert!(report.swapped);
        }
        assert_eq!(checkpoint_of(&db, "rooms").await.generation, round);
    }
    stop.cancel();
    let story = writing.await.unwrap();
    assert!(asking.await.unwrap() > 0);
    workers.reach(story.history.len() as u64).await;
    for report in rebuild(&db, RebuildPurpose::Verify, 1_000).await {
        assert!(report.comparison.is_equal(), "{report:?}");
        assert_eq!(report.digest, checkpoint_of(&db, report.name).await.digest);
    }
    assert_eq!(tables(&db).await, Vec::<String>::new(), "nothing is left over");
    let models = ReadModels::new(db.system.clone());
    let views = people::rooms(&models, story.rooms.keys()).await;
    for (key, (room, version)) in &story.rooms {
        assert_eq!(views.get(key), room.view(key.room, *version).as_ref());
    }
    workers.stop().await;
}

#[tokio::test]
async fn rows_that_somebody_changed_are_found_and_mended() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(12);
    story.go_on(200).write(&log).await;
    let workers = Workers::on(log.clone());
    workers.reach(story.history.len() as u64).await;
    workers.stop().await;
    db.owner.execute("UPDATE convoke.rm_sessions SET seconds = seconds + 1 WHERE seconds > 0").await.unwrap();
    for report in rebuild(&db, RebuildPurpose::Verify, 100).await {
        let changed = matches!(report.comparison, Comparison::Changed { .. });
        assert_eq!(changed, report.name == "sessions", "{report:?}");
    }
    // A fold that went astray is told from a hand that changed rows.
    db.owner.execute("UPDATE convoke.projections SET digest = sha256('x') WHERE name = 'messages'").await.unwrap();
    let listed = Run::on(&db).args(["projection", "verify", "sessions", "--json"]).run().await;
    assert_eq!(listed.status, 1, "{listed:?}");
    assert!(listed.stdout.contains("\"changed\""), "{listed:?}");
    rebuild(&db, RebuildPurpose::Rebuild, 100).await;
    let verified = Run::on(&db).args(["projection", "verify"]).run().await;
    assert_eq!(verified.status, 0, "{verified:?}");
}

/// Where the fold stands that has come the least far.
async fn least_position(db: &TestDb) -> Option<i64> {
    let positions: Vec<i64> =
        sqlx::query_scalar("SELECT position FROM convoke.projection_rebuilds").fetch_all(&db.owner).await.unwrap();
    positions.into_iter().min()
}

/// The server has noticed that whoever held them is gone.
async fn locks_are_free(db: &TestDb) {
    let held = "SELECT count(*) FROM pg_locks
        WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually("the locks of who is gone are free", PATIENCE, async || {
        let held: i64 = sqlx::query_scalar(held).fetch_one(&db.owner).await.unwrap();
        (held == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_killed_rebuild_goes_on_where_it_was() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(13);
    story.go_on(1_500).write(&log).await;
    let end = story.history.len() as u64;
    let workers = Workers::on(log.clone());
    workers.reach(end).await;
    workers.stop().await;
    let mut reached = 0;
    for _ in 0..4 {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_convoke"));
        command.args(["projection", "rebuild"]).env_clear().env("DATABASE_URL", &db.url);
        command.env("CONVOKE_PROJECTION_REBUILD_BATCH", "7").stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        reached = eventually("the rebuild comes further", PATIENCE, async || {
            let least = least_position(&db).await.filter(|least| *least > reached);
            assert!(least.is_some() || child.try_wait().unwrap().is_none(), "it ended by itself");
            least
        })
        .await;
        child.kill().await.unwrap();
        locks_are_free(&db).await;
    }
    assert!(u64::try_from(reached).unwrap() < end, "it was killed in the middle");
    let log = EventLog::new(db.system.clone());
    let resumed = Rebuild::new(log, 500);
    let progress = resumed.progress();
    let first = tokio::spawn(first_position(progress));
    let reports = resumed.run(MODELS, RebuildPurpose::Rebuild, &CancellationToken::new()).await.unwrap();
    assert!(first.await.unwrap() >= u64::try_from(reached).unwrap(), "it did not begin anew");
    for report in reports {
        assert!(report.comparison.is_equal(), "{report:?}");
        assert_eq!(report.position, end);
    }
    assert_eq!(tables(&db).await, Vec::<String>::new());
}

async fn first_position(mut progress: tokio::sync::watch::Receiver<RebuildProgress>) -> u64 {
    progress.changed().await.unwrap();
    progress.borrow().position
}

/// Rows of a table in memory: far fewer than the stories below have of people and sessions.
const FEW: usize = 12;

/// Models that a fold in the middle no longer holds in memory.
async fn spilt(db: &TestDb) -> Vec<String> {
    let statement = "SELECT name FROM convoke.projection_rebuilds WHERE NOT holding ORDER BY name";
    sqlx::query_scalar(statement).fetch_all(&db.owner).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_rows_than_memory_may_hold_are_written_and_read_back_and_give_the_same_rows() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(18);
    story.go_on(1_500).write(&log).await;
    let end = story.history.len() as u64;
    let workers = Workers::on(log.clone());
    workers.reach(end).await;
    workers.stop().await;
    for (purpose, batch) in
        [(RebuildPurpose::Verify, 40), (RebuildPurpose::Verify, 10_000), (RebuildPurpose::Rebuild, 40)]
    {
        locks_are_free(&db).await;
        // What is put by is written before it would be otherwise, and before what spills.
        let few = Rebuild::new(log.clone(), batch).keeping_at_most(FEW).writing_together(5_000);
        for report in few.run(MODELS, purpose, &CancellationToken::new()).await.unwrap() {
            assert!(report.comparison.is_equal(), "{report:?}");
            assert_eq!((report.position, report.digest), (end, checkpoint_of(&db, report.name).await.digest));
        }
    }
    let models = ReadModels::new(db.system.clone());
    let views = people::rooms(&models, story.rooms.keys()).await;
    for (key, (room, version)) in &story.rooms {
        assert_eq!(views.get(key), room.view(key.room, *version).as_ref());
    }
    for report in rebuild(&db, RebuildPurpose::Verify, 1_000).await {
        assert!(report.comparison.is_equal(), "the rows are those that were folded in memory: {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rebuild_cut_off_after_it_spilt_goes_on_with_the_rows_that_are_in_the_tables() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(19);
    story.go_on(1_500).write(&log).await;
    let end = story.history.len() as u64;
    let workers = Workers::on(log.clone());
    workers.reach(end).await;
    workers.stop().await;
    let mut reached = 0;
    for cut in 1..=4 {
        // Its connections end in the middle of whatever they are at.
        let cut_off = Rebuild::new(log.clone(), 7).keeping_at_most(FEW);
        let mut progress = cut_off.progress();
        let running =
            tokio::spawn(async move { cut_off.run(MODELS, RebuildPurpose::Rebuild, &CancellationToken::new()).await });
        progress.wait_for(|progress| progress.position >= end * cut / 5).await.unwrap();
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled(), "it was cut off before its end");
        locks_are_free(&db).await;
        let least = least_position(&db).await.unwrap();
        assert!(least >= reached && least < i64::try_from(end).unwrap(), "{least} after {reached}");
        reached = least;
    }
    assert_eq!(spilt(&db).await, ["activity", "rooms", "sessions", "usage"], "messages are never held");
    let resumed = Rebuild::new(log, 500).keeping_at_most(FEW);
    let first = tokio::spawn(first_position(resumed.progress()));
    let reports = resumed.run(MODELS, RebuildPurpose::Rebuild, &CancellationToken::new()).await.unwrap();
    assert!(first.await.unwrap() >= u64::try_from(reached).unwrap(), "it did not begin anew");
    for report in reports {
        assert!(report.comparison.is_equal() && report.swapped, "{report:?}");
    }
    for report in rebuild(&db, RebuildPurpose::Verify, 1_000).await {
        assert!(report.comparison.is_equal(), "{report:?}");
    }
    assert_eq!(tables(&db).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_rebuild_told_to_stop_leaves_the_live_rows_and_can_go_on() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(14);
    story.go_on(100).write(&log).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = Rebuild::new(log.clone(), 1).run(MODELS, RebuildPurpose::Rebuild, &stop).await;
    assert!(matches!(stopped, Err(RebuildError::Interrupted)), "{stopped:?}");
    for report in rebuild(&db, RebuildPurpose::Rebuild, 10).await {
        assert_eq!(report.position, story.history.len() as u64);
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_ends_a_rebuild_at_that_event() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(15);
    story.go_on(40).write(&log).await;
    let before = story.history.len() as u64;
    story.write_unreadable(&log).await;
    let failed = Rebuild::new(log, 10).run(MODELS, RebuildPurpose::Rebuild, &CancellationToken::new()).await;
    let Err(RebuildError::Unreadable { position, error }) = failed else { panic!("{failed:?}") };
    assert_eq!(position, Some(before + 1));
    assert!(error.contains("room.teleported"), "{error}");
}

#[tokio::test]
async fn a_stopped_model_follows_again_once_it_was_rebuilt() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(16);
    story.go_on(100).write(&log).await;
    let workers = Workers::on(log.clone());
    workers.reach(story.history.len() as u64).await;
    workers.stop().await;
    db.owner.execute("UPDATE convoke.projections SET shape = 0").await.unwrap();
    let workers = Workers::on(log.clone());
    eventually("the models stop", PATIENCE, async || {
        let stopped: i64 = sqlx::query_scalar("SELECT count(*) FROM convoke.projections WHERE status = 'stopped'")
            .fetch_one(&db.owner)
            .await
            .unwrap();
        (usize::try_from(stopped).unwrap() == MODELS.len()).then_some(())
    })
    .await;
    let listed = Run::on(&db).args(["projection", "list"]).run().await;
    assert_eq!(listed.status, 1);
    assert!(listed.stdout.contains("rooms stopped: its rows have shape 0"), "{listed:?}");
    let rebuilt = Run::on(&db).args(["projection", "rebuild"]).run().await;
    assert_eq!(rebuilt.status, 0, "{rebuilt:?}");
    assert!(rebuilt.stdout.contains("the live rows have shape 0"), "{rebuilt:?}");
    story.go_on(50).write(&log).await;
    eventually("the models follow again", PATIENCE, async || {
        (checkpoint_of(&db, "rooms").await.position == story.history.len() as u64).then_some(())
    })
    .await;
    workers.stop().await;
    let listed = Run::on(&db).args(["projection", "list", "--json"]).json().await;
    assert_eq!(listed[0]["generation"], 1, "{listed}");
}

#[tokio::test]
async fn of_two_rebuilds_at_a_time_the_second_is_told() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(17);
    story.go_on(50).write(&log).await;
    // What a rebuild of the rooms holds for as long as it runs.
    let mut other = db.system.acquire().await.unwrap();
    other.execute("SELECT pg_advisory_lock(hashtextextended('convoke.rebuild.rooms', 0))").await.unwrap();
    let refused = Rebuild::new(log.clone(), 10).run(MODELS, RebuildPurpose::Rebuild, &CancellationToken::new()).await;
    assert!(matches!(refused, Err(RebuildError::Busy { name: "rooms", .. })), "{refused:?}");
    let verified = Rebuild::new(log, 10).run(MODELS, RebuildPurpose::Verify, &CancellationToken::new()).await;
    assert!(verified.is_ok(), "{verified:?}");
}
