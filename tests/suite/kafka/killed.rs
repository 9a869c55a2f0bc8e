//! SIGKILL of the relay under load, at every point of its way.

use convoke::config::FaultPoint;

use super::{PATIENCE, audited_clean, grown, process};
use crate::harness::kafka::{Broker, prefix};
use crate::harness::{TestDb, eventually};
use crate::kills::load::Load;

/// Of the relay at each of its points; thirty in all.
const KILLS_AT_EACH: u32 = 6;

const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_killed_thirty_times_under_load_loses_and_doubles_nothing() {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    let api = process(&db, broker, &prefix, "api").serve().await;
    let load = Load::start(&[&api.url], CALLERS).await;
    let mut killed = 0;
    for pass in 1..=KILLS_AT_EACH {
        for (point, _) in FaultPoint::RELAY {
            // A first pass falls on what was left, later ones on the flow.
            let fault = format!("{point}:{}:kill", pass * 2 - 1);
            let mut relay = process(&db, broker, &prefix, "relay").with("CONVOKE_FAULT", &fault).serve().await;
            let ended = relay.ended().await;
            assert!(!ended.success(), "{}", relay.log());
            assert!(relay.log().contains("ends or stops here"), "{}", relay.log());
            killed += 1;
        }
    }
    assert_eq!(killed, 30);
    grown(&db, 50).await;
    let last = process(&db, broker, &prefix, "relay").serve().await;
    load.stop().await;
    let found = audited_clean(&db, broker, &prefix).await;
    assert!(found["records"].as_u64().unwrap() > 300, "{found}");
    drop(last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_slept_past_its_lease_cannot_commit() {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    let api = process(&db, broker, &prefix, "api").serve().await;
    let load = Load::start(&[&api.url], CALLERS).await;
    let sleeper = process(&db, broker, &prefix, "relay").with("CONVOKE_FAULT", "before-commit:5:stop").serve().await;
    eventually("the relay sleeps in the middle of a transaction", PATIENCE, async || {
        sleeper.log().contains("ends or stops here").then_some(())
    })
    .await;
    let other = process(&db, broker, &prefix, "relay").serve().await;
    eventually("the other takes its place", PATIENCE, async || other.log().contains("the relay started").then_some(()))
        .await;
    grown(&db, 50).await;
    sleeper.signal(rustix::process::Signal::CONT);
    eventually("the sleeper is told that it no longer is the relay", PATIENCE, async || {
        sleeper.log().contains("a session of the relay ended, starting another").then_some(())
    })
    .await;
    assert!(sleeper.log().contains("Kafka refuses this relay"), "{}", sleeper.log());
    load.stop().await;
    audited_clean(&db, broker, &prefix).await;
    assert!(!other.log().contains("a session of the relay ended, starting another"), "{}", other.log());
}

/// What it had begun it commits, for nobody else is there; then it takes the lease anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_slept_past_its_lease_with_nobody_to_take_its_place_goes_on() {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    let api = process(&db, broker, &prefix, "api").serve().await;
    let load = Load::start(&[&api.url], CALLERS).await;
    let sleeper = process(&db, broker, &prefix, "relay").with("CONVOKE_FAULT", "before-commit:5:stop").serve().await;
    eventually("the relay sleeps in the middle of a transaction", PATIENCE, async || {
        sleeper.log().contains("ends or stops here").then_some(())
    })
    .await;
    eventually("its lease runs out", PATIENCE, async || {
        let over = "SELECT until < clock_timestamp() FROM convoke.leases WHERE name LIKE 'relay%'";
        sqlx::query_scalar(over).fetch_one(&db.system).await.unwrap_or(false).then_some(())
    })
    .await;
    sleeper.signal(rustix::process::Signal::CONT);
    eventually("the session without a lease ends", PATIENCE, async || {
        sleeper.log().contains("a session of the relay ended, starting another").then_some(())
    })
    .await;
    grown(&db, 50).await;
    load.stop().await;
    audited_clean(&db, broker, &prefix).await;
    assert!(!sleeper.log().contains("panicked"), "{}", sleeper.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_five_times_under_load_loses_and_doubles_nothing() {
    let (db, mut broker, prefix) = (TestDb::new().await, Broker::start().await, prefix());
    let server = process(&db, &broker, &prefix, "api,relay").serve().await;
    let load = Load::start(&[&server.url], CALLERS).await;
    for _ in 0..5 {
        grown(&db, 100).await;
        broker.kill();
        // Commands are taken all the while.
        grown(&db, 100).await;
        broker.restart().await;
    }
    load.stop().await;
    audited_clean(&db, &broker, &prefix).await;
}
