//! The wire to Kafka slowed and cut: commands, reads and streams do not wait for it.

use std::time::{Duration, Instant};

use convoke::security::grants::Grants;
use futures_util::StreamExt as _;
use serde_json::json;

use super::{PATIENCE, audited_clean, process};
use crate::harness::kafka::{Broker, prefix};
use crate::harness::{Server, TestDb, eventually, tokens};

/// A command and a read, on a machine that runs other tests too; far below any time-out of a Kafka client.
const SLOWEST: Duration = Duration::from_secs(2);
const TURNS: usize = 60;

struct Caller<'a> {
    server: &'a Server,
    token: String,
    room: String,
    joined: usize,
}

impl Caller<'_> {
    async fn post(&self, path: &str, body: &serde_json::Value) -> serde_json::Value {
        let request = self.server.client.post(format!("{}{path}", self.server.url)).bearer_auth(&self.token).json(body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// Commands and reads in turns, none of them with an error; p99 of both together.
    async fn goes_on(&mut self) -> Duration {
        let mut took = Vec::new();
        for _ in 0..TURNS {
            let begun = Instant::now();
            let identity = format!("p{}", self.joined);
            self.joined += 1;
            let joined =
                self.post(&format!("/v1/rooms/{}/commands/join", self.room), &json!({ "identity": identity })).await;
            took.push(begun.elapsed());
            let begun = Instant::now();
            let path = format!("{}/v1/rooms/{}?at_least={}", self.server.url, self.room, joined["position"]);
            let answer = self.server.client.get(path).bearer_auth(&self.token).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
            took.push(begun.elapsed());
        }
        took.sort_unstable();
        took[took.len() * 99 / 100]
    }
}

/// Everything that is fed stands on the topic: streams, read models and so the reads that wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_and_then_silent_wire_to_kafka_costs_callers_and_streams_nothing() {
    let (db, prefix) = (TestDb::new().await, prefix());
    let (broker, wire) = Broker::behind_a_wire().await;
    let server = process(&db, &broker, &prefix, "api,projector,relay").with("CONVOKE_FEED", "kafka").serve().await;
    let token = tokens::of("dev", None, Grants::everything());
    let mut caller = Caller { server: &server, token, room: String::new(), joined: 0 };
    caller.room = caller.post("/v1/rooms", &json!({})).await["room"].as_str().unwrap().to_owned();
    let url = format!("{}/v1/rooms/{}/events?cursor=start", server.url, caller.room);
    let request = server.client.get(url).bearer_auth(&caller.token).header("Accept", "text/event-stream");
    let mut stream = request.send().await.unwrap().bytes_stream();
    let mut heard = String::new();
    let mut hear = async |joins: usize| {
        let hearing = async {
            while heard.matches("event: room.participant-joined").count() < joins {
                heard.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, hearing).await.expect("the stream goes on");
    };
    let well = caller.goes_on().await;
    hear(caller.joined).await;
    wire.slow(Duration::from_millis(300));
    let slow = caller.goes_on().await;
    hear(caller.joined).await;
    wire.cut();
    let cut = caller.goes_on().await;
    hear(caller.joined).await;
    assert!(well < SLOWEST && slow < SLOWEST && cut < SLOWEST, "p99 well {well:?}, slowed {slow:?}, cut {cut:?}");
    eventually("health says so", PATIENCE, async || {
        let health = server.get("/health/ready").await;
        assert_eq!(health.status(), 200);
        health.text().await.unwrap().contains("the relay failed and retries").then_some(())
    })
    .await;
    wire.mend();
    caller.goes_on().await;
    audited_clean(&db, &broker, &prefix).await;
}
