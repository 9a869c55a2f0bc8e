//! Reads from a real streaming replica: never older than asked for, and never an error, whatever becomes of the replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use convoke::security::grants::Grants;
use serde_json::{Value, json};

use crate::harness::standby::Replicated;
use crate::harness::{Run, Server, TestDb, Wire, eventually, tokens};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Caller {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Caller {
    fn of(server: &Server) -> Self {
        let token = tokens::of("dev", None, Grants::everything());
        Self { client: server.client.clone(), url: server.url.clone(), token }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let sent = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(&body).send();
        let answer = sent.await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// Somebody joins, and whoever reads with the position that this was answered with sees the stay, and the person in the room.
    async fn joins_and_is_seen(&self, room: &str, identity: &str) {
        let joined = self.post(&format!("/v1/rooms/{room}/commands/join"), json!({ "identity": identity })).await;
        let at = joined["position"].as_u64().unwrap();
        for list in ["sessions", "participants"] {
            self.sees(&format!("/v1/rooms/{room}/{list}?limit=1000&at_least={at}"), list, identity).await;
        }
    }

    async fn sees(&self, path: &str, list: &str, identity: &str) {
        let answer = self.get(path).await;
        let mut people = answer[list].as_array().unwrap().iter();
        assert!(people.any(|person| person["identity"] == identity), "{identity} at {path}");
    }
}

/// How many reads went where.
async fn reads(server: &Server, from: &str) -> u64 {
    server.metric(&format!("convoke_reads_total{{from=\"{from}\"}}")).await
}

async fn read_from_the_replica(server: &Server, caller: &Caller, path: &str) {
    let before = reads(server, "replica").await;
    eventually("the replica is read from", PATIENCE, async || {
        caller.get(path).await;
        (reads(server, "replica").await > before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_read_while_it_keeps_up_and_left_out_while_it_does_not() {
    let mut pair = Replicated::start(1).await;
    let run = tokens::accepted_by(Run::new())
        .with("DATABASE_URL", &pair.url())
        .with("DATABASE_READ_URLS", &pair.replicas[0].url())
        .with("CONVOKE_DATABASE_REPLICA_LAG", "1s");
    let server = run.serve().await;
    let caller = Caller::of(&server);
    let room = caller.post("/v1/rooms", json!({ "name": "lobby" })).await["room"].as_str().unwrap().to_owned();
    for path in ["/v1/rooms".into(), format!("/v1/rooms/{room}/sessions"), format!("/v1/rooms/{room}/attendance")] {
        read_from_the_replica(&server, &caller, &path).await;
    }
    for number in 0..40 {
        caller.joins_and_is_seen(&room, &format!("early-{number}")).await;
    }

    // Readers who ask all the while, whatever happens to the replica.
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (caller, room) = (caller.clone(), room.clone());
            let (stop, asked) = (stop.clone(), asked.clone());
            tokio::spawn(async move {
                let mut seen = 0;
                while !stop.load(Ordering::Relaxed) {
                    caller.get(&format!("/v1/rooms/{room}/sessions?limit=5")).await;
                    let version = caller.get(&format!("/v1/rooms/{room}")).await["version"].as_u64().unwrap();
                    assert!(version >= seen, "a reader's answers go back from version {seen} to {version}");
                    seen = version;
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    pair.replicas[0].execute("SELECT pg_wal_replay_pause()").await;
    for number in 0..20 {
        caller.joins_and_is_seen(&room, &format!("paused-{number}")).await;
    }
    eventually("a replica that lags is left out", PATIENCE, async || {
        server.log().contains("replica is not in use").then_some(())
    })
    .await;
    let health = server.get("/health/ready").await.text().await.unwrap();
    assert!(health.contains("replica 1 is left out"), "{health}");
    // Who reads without a position sees what the primary has.
    caller.sees(&format!("/v1/rooms/{room}/sessions?limit=1000"), "sessions", "paused-19").await;
    pair.replicas[0].execute("SELECT pg_wal_replay_resume()").await;
    read_from_the_replica(&server, &caller, "/v1/rooms").await;

    pair.replicas[0].stop().await;
    for number in 0..20 {
        caller.joins_and_is_seen(&room, &format!("dead-{number}")).await;
    }
    pair.replicas[0].start().await;
    read_from_the_replica(&server, &caller, "/v1/rooms").await;

    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.expect("no reader met an error");
    }
    assert!(asked.load(Ordering::Relaxed) > 100, "{asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_history_is_not_read_whatever_it_has() {
    let (db, other) = (TestDb::new().await, TestDb::new().await);
    let elsewhere = tokens::accepted_by(Run::on(&other)).serve().await;
    let there = Caller::of(&elsewhere);
    for number in 0..5 {
        let room = there.post("/v1/rooms", json!({ "name": format!("of-elsewhere-{number}") })).await;
        there.get(&format!("/v1/rooms?at_least={}", room["position"])).await;
    }
    let run =
        tokens::accepted_by(Run::on(&db)).with("DATABASE_READ_URLS", &other.url).with("CONVOKE_CACHE_MEMORY", "0B");
    let server = run.serve().await;
    let caller = Caller::of(&server);
    eventually("it is left out, and health says why", PATIENCE, async || {
        let health = server.get("/health/ready").await.text().await.unwrap();
        health.contains("replica 1 is left out: its log is of epoch").then_some(())
    })
    .await;
    let room = caller.post("/v1/rooms", json!({ "name": "of-here" })).await;
    let rooms = caller.get(&format!("/v1/rooms?at_least={}", room["position"])).await;
    let names: Vec<_> = rooms["rooms"].as_array().unwrap().iter().map(|room| room["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["of-here"]);
    assert_eq!(reads(&server, "replica").await, 0);
}

/// A question to a replica, on a machine that runs other tests too: what a replica is given to answer in, and the primary's answer.
const SLOWEST: Duration = Duration::from_secs(4);

/// p99 of so many reads, none of them with an error.
async fn p99(caller: &Caller, room: &str) -> Duration {
    let mut took = Vec::new();
    for _ in 0..100 {
        let begun = std::time::Instant::now();
        caller.get(&format!("/v1/rooms/{room}/sessions?limit=5")).await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took[98]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wire_to_a_replica_that_is_slow_or_cut_costs_readers_little_and_no_error() {
    let pair = Replicated::start(1).await;
    let wire = Wire::to_postgres(pair.replicas[0].options()).await;
    let run = tokens::accepted_by(Run::new())
        .with("DATABASE_URL", &pair.url())
        .with("DATABASE_READ_URLS", &wire.url)
        .with("CONVOKE_DATABASE_REPLICA_LAG", "5s");
    let server = run.serve().await;
    let caller = Caller::of(&server);
    let room = caller.post("/v1/rooms", json!({ "name": "lobby" })).await["room"].as_str().unwrap().to_owned();
    read_from_the_replica(&server, &caller, "/v1/rooms").await;
    let well = p99(&caller, &room).await;
    wire.slow(Duration::from_millis(50));
    let slow = p99(&caller, &room).await;
    wire.cut();
    let cut = p99(&caller, &room).await;
    assert!(well < SLOWEST && slow < SLOWEST && cut < SLOWEST, "p99 well {well:?}, slowed {slow:?}, cut {cut:?}");
    eventually("it is left out", PATIENCE, async || {
        server.get("/health/ready").await.text().await.unwrap().contains("replica 1 is left out").then_some(())
    })
    .await;
    wire.mend();
    read_from_the_replica(&server, &caller, "/v1/rooms").await;
}
