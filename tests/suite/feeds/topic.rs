//! What only the topic can do wrong: lack what the log has, hold what the log has given up, be away.

use convoke::events::log::append::AppendBatch;
use convoke::events::relay::personal::PersonalPolicy;
use convoke::events::sealed::Sealed;
use convoke::telemetry::metrics::Metrics;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use sqlx::Executor as _;

use super::{Fixture as _, OfLog, OfTopic, PATIENCE, positions, reader};
use crate::harness::eventually;
use crate::harness::kafka::{Broker, prefix};
use crate::log::{more, now, room, write};

/// The relay has copied so much.
async fn relayed(fixture: &OfTopic, position: i64) {
    eventually("the topic has what was written", PATIENCE, async || {
        let at =
            sqlx::query_scalar("SELECT position FROM convoke.relays").fetch_optional(&fixture.fixture.db.system).await;
        at.ok().flatten().filter(|at: &i64| *at >= position)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_the_topic_comes_from_the_topic() {
    let fixture = <OfTopic as super::Fixture>::start().await;
    let rooms = [room(), room(), room()];
    for _ in 0..100 {
        for key in &rooms {
            write(fixture.log(), key, 4).await;
        }
    }
    relayed(&fixture, 1_200).await;
    assert!(positions(&mut *fixture.source().open(0), 1_200).await.into_iter().eq(1..=1_200));
    // What a broker with much else to do brings late is taken from the log meanwhile.
    let (topic, log) = (fixture.metrics.fed_from("topic"), fixture.metrics.fed_from("log"));
    assert!(topic + log == 1_200 && topic > 600, "{topic} of the topic, {log} of the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_topic_has_let_go_is_read_from_the_log() {
    let broker = Broker::shared().await;
    let fixture = OfTopic::on(broker).await;
    let rooms = [room(), room(), room()];
    for _ in 0..100 {
        for key in &rooms {
            write(fixture.log(), key, 1).await;
        }
    }
    relayed(&fixture, 300).await;
    // As retention does it: some of one partition, all of another.
    let admin: AdminClient<DefaultClientContext> = broker.client().create().unwrap();
    let mut gone = rdkafka::TopicPartitionList::new();
    for partition in 0..12 {
        let offset = if partition % 2 == 0 { rdkafka::Offset::End } else { rdkafka::Offset::Offset(0) };
        gone.add_partition_offset(&fixture.topic(), partition, offset).unwrap();
    }
    admin.delete_records(&gone, &AdminOptions::new()).await.unwrap();
    assert!(positions(&mut *fixture.source().open(0), 300).await.into_iter().eq(1..=300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_kafka_away_it_goes_on_from_the_log_and_comes_back_to_the_topic() {
    let mut broker = Broker::start().await;
    let fixture = OfTopic::on(&broker).await;
    let key = room();
    write(fixture.log(), &key, 10).await;
    relayed(&fixture, 10).await;
    let mut feed = fixture.source().open(0);
    assert!(positions(&mut *feed, 10).await.into_iter().eq(1..=10));
    broker.kill();
    for next in [20, 30, 40] {
        write(fixture.log(), &key, 10).await;
        assert!(positions(&mut *feed, next).await.into_iter().eq(next - 9..=next));
    }
    assert!(fixture.metrics.fed_from("log") >= 20, "{}", fixture.metrics.fed_from("log"));
    broker.restart().await;
    relayed(&fixture, 40).await;
    let mut next = 40;
    let from_topic = fixture.metrics.fed_from("topic");
    eventually("the feed stands on the topic again", PATIENCE, async || {
        write(fixture.log(), &key, 1).await;
        next += 1;
        assert_eq!(positions(&mut *feed, next).await, [next]);
        (fixture.metrics.fed_from("topic") > from_topic).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_whose_personal_part_the_topic_leaves_out_are_read_from_the_log() {
    let broker = Broker::shared().await;
    let (fixture, prefix) = (OfLog::start().await, prefix());
    let fixture = OfTopic { fixture, address: broker.address.clone(), prefix, metrics: Metrics::new() };
    let stop = fixture.fixture.stop.clone();
    let relay = fixture.relay(&broker.config(&fixture.prefix), &stop, PersonalPolicy::Omitted);
    tokio::spawn(relay.run(stop));
    let mut append = more(fixture.log(), 0, &room(), 30).await;
    for event in append.events.iter_mut().step_by(3) {
        event.sealed = Some(Sealed(vec![1, 2, 3].into()));
    }
    let appended = fixture.log().append(&AppendBatch::new(now(), vec![append])).await.unwrap();
    assert!(appended.conflicts.is_empty());
    relayed(&fixture, 30).await;
    let mut feed = fixture.source().open(0);
    let mut given = Vec::new();
    while given.len() < 30 {
        given.extend(tokio::time::timeout(PATIENCE, feed.next()).await.unwrap().unwrap());
    }
    let written = fixture.log().read(0, 100).await.unwrap();
    assert!(written.iter().any(|event| event.sealed.is_some()), "some are to be left out");
    assert_eq!(format!("{given:?}"), format!("{written:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_log_has_given_up_does_not_come() {
    let broker = Broker::shared().await;
    let fixture = OfTopic::on(broker).await;
    let key = room();
    write(fixture.log(), &key, 10).await;
    relayed(&fixture, 10).await;
    let restored = fixture.fixture.db.copy().await;
    // Over connections that the copy has not ended.
    write(&reader(&fixture.fixture.db, &fixture.fixture.stop), &key, 10).await;
    relayed(&fixture, 20).await;
    // The first log is no more; its relay must not be either.
    let OfTopic { fixture: lost, address, prefix, .. } = fixture;
    drop(lost);
    let fixture = OfTopic { fixture: OfLog::of(restored), address, prefix, metrics: Metrics::new() };
    let stop = fixture.fixture.stop.clone();
    write(fixture.log(), &key, 25).await;
    fixture.fixture.db.owner.execute("SELECT convoke.fence()").await.unwrap();
    tokio::spawn(fixture.relay(&broker.config(&fixture.prefix), &stop, PersonalPolicy::Sealed).run(stop.clone()));
    relayed(&fixture, 35).await;
    let mut feed = fixture.source().open(0);
    let mut given = Vec::new();
    while given.len() < 35 {
        given.extend(tokio::time::timeout(PATIENCE, feed.next()).await.unwrap().unwrap());
    }
    let written = fixture.log().read(0, 100).await.unwrap();
    assert_eq!(format!("{given:?}"), format!("{written:?}"));
}
