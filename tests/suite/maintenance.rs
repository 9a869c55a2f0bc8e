//! Partitions made ahead, outcomes dropped after their life, and the commands that look after the log.

use std::collections::HashMap;
use std::time::Duration;

use convoke::config::{Config, LogConfig, PartitionUnit};
use convoke::events::log::EventLog;
use convoke::events::log::maintenance::{Maintenance, Runway};
use convoke::events::log::partition_status::Partition;
use convoke::events::time::{Clock, Timestamp};
use serde_json::Value;
use sqlx::Executor as _;
use tokio_util::sync::CancellationToken;

use crate::harness::{Run, Server, TestDb, eventually};
use crate::log;

const SOON: Duration = Duration::from_secs(30);

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// With rounds that follow each other quickly.
fn quick() -> LogConfig {
    let settings = [("CONVOKE_LOG_IDEMPOTENCY_TTL".to_owned(), "2s".to_owned())];
    Config::from_environment(&HashMap::from(settings)).unwrap().log
}

fn assert_unbroken(partitions: &[Partition]) {
    for pair in partitions.windows(2) {
        assert_eq!(pair[0].to, pair[1].from, "{} and {}", pair[0].name, pair[1].name);
    }
}

#[tokio::test]
async fn partitions_of_another_unit_go_on_where_the_last_one_ends() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let (from, until) = (time("2012-01-15T00:00:00Z"), time("2012-02-10T00:00:00Z"));
    let months = log.ensure_partitions(PartitionUnit::Month, from, until).await.unwrap();
    assert_eq!(months, ["log_20120101", "log_20120201"]);
    // A week that has begun in the month before is not made twice; a day is.
    let weeks = log.ensure_partitions(PartitionUnit::Week, until, time("2012-03-06T00:00:00Z")).await.unwrap();
    assert_eq!(weeks, ["log_20120301", "log_20120305"]);
    let days = log.ensure_partitions(PartitionUnit::Day, until, time("2012-03-13T12:00:00Z")).await.unwrap();
    assert_eq!(days, ["log_20120312", "log_20120313"]);
    let again = log.ensure_partitions(PartitionUnit::Day, from, time("2012-03-13T12:00:00Z")).await.unwrap();
    assert_eq!(again, Vec::<String>::new());
    let all = log.partitions().await.unwrap();
    let old: Vec<_> = all.into_iter().filter(|partition| partition.from < time("2013-01-01T00:00:00Z")).collect();
    assert_unbroken(&old);
    let covered = log.covered_until(time("2012-01-20T00:00:00Z")).await.unwrap();
    assert_eq!(covered, Some(time("2012-03-14T00:00:00Z")));
    assert_eq!(log.covered_until(time("2011-01-20T00:00:00Z")).await.unwrap(), None);
}

#[tokio::test]
async fn many_at_once_make_each_partition_once() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let (from, until) = (time("2012-01-01T00:00:00Z"), time("2012-12-31T00:00:00Z"));
    let making = (0..8).map(|_| log.ensure_partitions(PartitionUnit::Month, from, until));
    let made: usize = futures_util::future::try_join_all(making).await.unwrap().iter().map(Vec::len).sum();
    assert_eq!(made, 12);
}

#[tokio::test]
async fn the_maintenance_follows_the_clock() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let clock = Clock::manual(time("2030-01-10T00:00:00Z"));
    let maintenance = Maintenance::new(log.clone(), quick(), clock.clone());
    assert_eq!(maintenance.runway().await.unwrap(), Runway::Short(Duration::ZERO));
    let stop = CancellationToken::new();
    let running = tokio::spawn(maintenance.clone().run(stop.clone()));
    for now in ["2030-01-10T00:00:00Z", "2030-03-01T00:00:00Z", "2031-12-31T23:59:59Z"] {
        clock.set(time(now));
        eventually("a runway of 60 days", SOON, async || match maintenance.runway().await.unwrap() {
            Runway::Enough(left) => (left >= Duration::from_secs(60 * 86_400)).then_some(()),
            Runway::Short(_) => None,
        })
        .await;
    }
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn outcomes_past_their_life_are_dropped_and_no_others() {
    let db = TestDb::new().await;
    for bucket in 0..4 {
        for (key, age) in [("old", "1 minute"), ("new", "-1 hour")] {
            let insert = "INSERT INTO convoke.outcomes
                    (position, recorded_at, stored_at, room, status, bucket, tenant, key, fingerprint, body)
                VALUES (1, now(), now() - $1::interval, gen_random_uuid(), 200, $2, 'acme', $3, '', '{}')";
            sqlx::query(insert)
                .bind(if bucket == 3 { age } else { "1 minute" })
                .bind(i16::try_from(bucket).unwrap())
                .bind(key)
                .execute(&db.owner)
                .await
                .unwrap();
        }
    }
    let log = EventLog::new(db.system.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(Maintenance::new(log, quick(), Clock::system()).run(stop.clone()));
    eventually("the old buckets are empty", SOON, async || {
        let left: Vec<i16> = sqlx::query_scalar("SELECT DISTINCT bucket FROM convoke.outcomes ORDER BY bucket")
            .fetch_all(&db.system)
            .await
            .unwrap();
        (left == [3]).then_some(())
    })
    .await;
    let ttl: i32 =
        sqlx::query_scalar("SELECT outcome_ttl_s FROM convoke.log_head").fetch_one(&db.system).await.unwrap();
    assert_eq!(ttl, 2, "the configured time to live is in force");
    stop.cancel();
    running.await.unwrap();
}

/// `None` where it is not told.
async fn metric(server: &Server, name: &str) -> Option<f64> {
    let text = server.get("/metrics").await.text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[tokio::test]
async fn the_metrics_tell_where_the_log_ends_and_how_long_its_partitions_reach() {
    let db = TestDb::new().await;
    let server = Run::on(&db).args(["--roles", "projector"]).serve().await;
    assert_eq!(metric(&server, "convoke_log_position").await, Some(0.0));
    assert_eq!(metric(&server, "convoke_log_recorded_timestamp_seconds").await, None);
    let log = EventLog::new(db.system.clone());
    log::write(&log, &log::room(), 3).await;
    eventually("three events are told", SOON, async || {
        (metric(&server, "convoke_log_position").await == Some(3.0)).then_some(())
    })
    .await;
    let recorded = log.head().await.unwrap().recorded_at.unwrap().unix_micros() as f64 / 1e6;
    let told = metric(&server, "convoke_log_recorded_timestamp_seconds").await.unwrap();
    assert!((told - recorded).abs() < 1e-3, "{told} {recorded}");

    let runway = metric(&server, "convoke_log_runway_seconds").await.unwrap();
    let health: Value = server.get("/health/ready").await.json().await.unwrap();
    let partitions = health["checks"].as_array().unwrap().iter().find(|check| check["name"] == "partitions").unwrap();
    let days = partitions["detail"].as_str().unwrap();
    let days: f64 = days.strip_suffix(" days ahead").unwrap().parse().unwrap();
    assert!((days - runway / 86_400.0).abs() < 0.1, "{health} {runway}");
}

#[tokio::test]
async fn a_server_without_partitions_ahead_is_not_ready() {
    let db = TestDb::new().await;
    let server = Run::on(&db).args(["--roles", "api"]).serve().await;
    assert_eq!(server.get("/health/ready").await.status(), 200);
    assert!(metric(&server, "convoke_log_runway_seconds").await > Some(0.0));
    let drop_all = "DO $$
        DECLARE v_name text;
        BEGIN
            FOR v_name IN SELECT name FROM convoke.log_partitions LOOP
                EXECUTE format('DROP TABLE convoke.%I', v_name);
            END LOOP;
            DELETE FROM convoke.log_partitions;
        END $$";
    db.owner.execute(drop_all).await.unwrap();
    let body = eventually("the server is not ready", SOON, async || {
        let response = server.get("/health/ready").await;
        (response.status() == 503).then_some(response)
    })
    .await;
    let body = body.text().await.unwrap();
    assert!(body.contains("convoke partition ensure"), "{body}");
    eventually("the metrics tell of no partition", SOON, async || {
        (metric(&server, "convoke_log_runway_seconds").await == Some(0.0)).then_some(())
    })
    .await;

    let made = Run::on(&db).args(["partition", "ensure"]).run().await;
    assert_eq!(made.status, 0, "{made:?}");
    eventually("the server is ready again", SOON, async || {
        (server.get("/health/ready").await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn partitions_of_the_past_are_made_by_hand_and_listed() {
    let db = TestDb::new().await;
    let ensure = || {
        let times = ["--from", "2012-01-01T00:00:00Z", "--until", "2012-03-31T23:00:00Z"];
        Run::on(&db).args(["partition", "ensure"]).args(times).run()
    };
    let made = ensure().await;
    assert_eq!(
        (made.status, made.stdout.as_str()),
        (0, "created log_20120101\ncreated log_20120201\ncreated log_20120301\n")
    );
    let again = ensure().await;
    assert!(again.stdout.starts_with("every partition from"), "{again:?}");
    let april = ["partition", "ensure", "--json", "--from", "2012-03-01T00:00:00Z", "--until", "2012-04-01T00:00:00Z"];
    assert_eq!(Run::on(&db).args(april).json().await["made"], serde_json::json!(["log_20120401"]));
    let listed = Run::on(&db).args(["partition", "list", "--json"]).json().await;
    assert_eq!(listed[0]["name"], "log_20120101");
    assert_eq!(listed[0]["to"], "2012-02-01T00:00:00.000000Z");
    assert_eq!((&listed[0]["events"], &listed[0]["first_position"]), (&Value::from(0), &Value::Null));
    let table = Run::on(&db).args(["partition", "list"]).run().await;
    assert!(table.stdout.contains("log_20120201"), "{table:?}");

    let wrong = Run::on(&db).args(["partition", "ensure", "--until", "2012-01-01T00:00:00Z"]).run().await;
    assert_eq!(wrong.status, 1);
    assert!(wrong.stderr.contains("lies after --until"), "{wrong:?}");
}

#[tokio::test]
async fn a_fence_begins_a_new_epoch_and_wants_to_be_meant() {
    let db = TestDb::new().await;
    let stat = || Run::on(&db).args(["log", "stat", "--json"]).json();
    let before = stat().await;
    let unsure = Run::on(&db).args(["log", "fence"]).run().await;
    assert_eq!(unsure.status, 1);
    assert!(unsure.stderr.contains("--yes"), "{unsure:?}");
    assert_eq!(stat().await["epoch"], before["epoch"]);
    let sure = Run::on(&db).args(["log", "fence", "--yes"]).run().await;
    assert_eq!(sure.status, 0, "{sure:?}");
    let after = stat().await;
    assert_ne!(after["epoch"], before["epoch"]);
    assert_eq!((&after["position"], &after["rooms"]), (&Value::from(0), &Value::from(0)));
    let told = Run::on(&db).args(["log", "fence", "--yes", "--json"]).json().await;
    assert_eq!((&told["ended"], &told["begun"]), (&after["epoch"], &stat().await["epoch"]));
    let after = stat().await;
    let text = Run::on(&db).args(["log", "stat"]).run().await;
    assert!(text.stdout.contains(after["epoch"].as_str().unwrap()), "{text:?}");
}
