//! A whole server that stands on the topic: streams and read models take from it what happens.

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{PATIENCE, audited_clean, process};
use crate::harness::kafka::{Broker, prefix};
use crate::harness::{Run, Server, TestDb, eventually, tokens};
use crate::kills::load::Load;
use convoke::security::grants::Grants;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_read_models_stand_on_the_topic_and_equal_those_of_the_log() {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    let made = broker.under(Run::new(), &prefix).args(["kafka", "ensure"]).run().await;
    assert_eq!(made.status, 0, "{made:?}");
    let run = process(&db, broker, &prefix, "api,projector,relay").with("CONVOKE_FEED", "kafka");
    let server = run.serve().await;
    let token = tokens::of("dev", None, Grants::everything());
    let request = server.client.get(format!("{}/v1/events?cursor=start", server.url)).bearer_auth(token);
    let mut stream = request.header("Accept", "text/event-stream").send().await.unwrap().bytes_stream();
    let load = Load::start(&[&server.url], 4).await;
    eventually("what happens comes from the topic", PATIENCE, async || {
        (server.metric("convoke_feed_events_total{from=\"topic\"}").await > 200).then_some(())
    })
    .await;
    load.stop().await;
    let found = audited_clean(&db, broker, &prefix).await;
    let head = found["head"].as_u64().unwrap();

    let mut heard = String::new();
    while !heard.contains(&format!("\"position\":{head},")) {
        heard.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    let positions = heard
        .lines()
        .filter_map(|line| line.strip_prefix("data: {\"position\":")?.split_once(',')?.0.parse::<u64>().ok());
    assert!(positions.eq(1..=head), "a stream misses nothing and repeats nothing");

    eventually("the read models keep up", PATIENCE, async || {
        let behind = "SELECT min(position) >= $1 FROM convoke.projections";
        let there = sqlx::query_scalar(behind).bind(found["head"].as_i64().unwrap()).fetch_one(&db.system).await;
        there.unwrap_or(Some(false)).filter(|there: &bool| *there)
    })
    .await;
    for from in ["log", "kafka"] {
        let verify = broker.under(Run::on(&db), &prefix).args(["projection", "verify", "--from", from]).run().await;
        assert_eq!(verify.status, 0, "{verify:?}");
        assert_eq!(verify.stdout.matches(&format!("equal at position {head}")).count(), verify.stdout.lines().count());
        let told = format!("verify: {head} events came from the topic, 0 from the log");
        assert_eq!(verify.stderr.contains(&told), from == "kafka", "{verify:?}");
    }
}

/// Of how many reads memory gave the answer.
async fn hits(server: &Server) -> u64 {
    server.metric("convoke_cache_reads_total{layer=\"memory\",outcome=\"hit\"}").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_that_stand_on_the_topic_answer_and_are_never_older_than_their_readers() {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    let made = broker.under(Run::new(), &prefix).args(["kafka", "ensure"]).run().await;
    assert_eq!(made.status, 0, "{made:?}");
    let run = |roles| process(&db, broker, &prefix, roles).with("CONVOKE_FEED", "kafka");
    let (writer, reader) = (run("api,projector,relay").serve().await, run("api").serve().await);
    let token = tokens::of("dev", None, Grants::everything());
    let post = async |path: &str, body: Value| {
        let request = writer.client.post(format!("{}{path}", writer.url)).bearer_auth(&token).json(&body);
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let room = post("/v1/rooms", json!({})).await["room"].as_str().unwrap().to_owned();
    let read = async |query: String| {
        let request = reader.client.get(format!("{}/v1/rooms/{room}{query}", reader.url)).bearer_auth(&token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["version"].as_u64().unwrap()
    };
    for number in 0..100 {
        let body = json!({ "identity": format!("p{number}") });
        let joined = post(&format!("/v1/rooms/{room}/commands/join"), body).await;
        let version = joined["room_version"].as_u64().unwrap();
        for _ in 0..3 {
            assert!(read(format!("?at_least={}", joined["position"])).await >= version);
        }
        eventually("who shows no position sees it soon", PATIENCE, async || {
            (read(String::new()).await >= version).then_some(())
        })
        .await;
    }
    let before = hits(&reader).await;
    for _ in 0..20 {
        read(String::new()).await;
    }
    assert!(hits(&reader).await >= before + 15, "a quiet room is answered out of memory");
}
