//! Two real servers on one database and one Redis: what their readers get, and what an operator sees and does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use convoke::security::grants::Grants;
use serde_json::{Value, json};

use crate::harness::{Redis, Run, Server, TestDb, eventually, tokens};

const PATIENCE: Duration = Duration::from_secs(30);

struct Servers {
    run: Run,
    token: String,
    servers: [Server; 2],
}

impl Servers {
    async fn on(db: &TestDb, redis: &Redis) -> Self {
        let run = tokens::accepted_by(Run::on(db).with("REDIS_URL", &redis.url()));
        let servers = [run.clone().serve().await, run.clone().serve().await];
        Self { run, token: tokens::of("acme", None, Grants::everything()), servers }
    }

    async fn post(&self, server: usize, path: &str, body: &Value) -> Value {
        post(&self.servers[server], &self.token, path, body).await
    }

    async fn view(&self, server: usize, room: &str, at_least: Option<u64>) -> (u64, u64) {
        view(&self.servers[server], &self.token, room, at_least).await
    }

    async fn cache(&self, args: &[&str]) -> Vec<Value> {
        let args = ["cache"].iter().chain(args).chain(&["--json"]).copied().map(String::from);
        let answers = self.run.clone().args(args).json().await;
        answers.as_array().unwrap().iter().map(|told| told["reply"].clone()).collect()
    }
}

async fn post(server: &Server, token: &str, path: &str, body: &Value) -> Value {
    let request = server.client.post(format!("{}{path}", server.url)).bearer_auth(token).json(body);
    let response = request.send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    response.json().await.unwrap()
}

/// Version and position.
async fn view(server: &Server, token: &str, room: &str, at_least: Option<u64>) -> (u64, u64) {
    let at_least = at_least.map_or_else(String::new, |position| format!("?at_least={position}"));
    let url = format!("{}/v1/rooms/{room}{at_least}", server.url);
    let response = server.client.get(url).bearer_auth(token).send().await.unwrap();
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
    let position = response.headers()["convoke-position"].to_str().unwrap().parse().unwrap();
    let etag = response.headers()["etag"].to_str().unwrap().trim_matches('"').parse::<u64>().unwrap();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["version"], etag);
    (etag, position)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_two_servers_see_what_was_written_through_either() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let servers = Servers::on(&db, &redis).await;
    let mut rooms = Vec::new();
    for number in 0..4 {
        let made = servers.post(number % 2, "/v1/rooms", &json!({})).await;
        let room = made["room"].as_str().unwrap().to_owned();
        for server in 0..2 {
            servers.view(server, &room, made["position"].as_u64()).await;
        }
        rooms.push(room);
    }
    let over = Arc::new(AtomicBool::new(false));
    // Readers who show nothing: versions never go back for one who stays with one server.
    let mut plain = Vec::new();
    for (number, server) in servers.servers.iter().enumerate() {
        let (client, url, token) = (server.client.clone(), server.url.clone(), servers.token.clone());
        let (room, over) = (rooms[number].clone(), over.clone());
        plain.push(tokio::spawn(async move {
            let (mut last, mut reads) = (0, 0u64);
            while !over.load(Ordering::Relaxed) {
                let answer = client.get(format!("{url}/v1/rooms/{room}")).bearer_auth(&token).send().await.unwrap();
                assert_eq!(answer.status(), 200);
                let version = answer.json::<Value>().await.unwrap()["version"].as_u64().unwrap();
                assert!(version >= last, "{version} after {last}");
                (last, reads) = (version, reads + 1);
            }
            reads
        }));
    }
    for turn in 0..150 {
        let room = &rooms[turn % rooms.len()];
        let body = json!({ "identity": "ann" });
        let command = if (turn / rooms.len()).is_multiple_of(2) { "join" } else { "leave" };
        let done = servers.post(turn % 2, &format!("/v1/rooms/{room}/commands/{command}"), &body).await;
        let (version, position) = (done["room_version"].as_u64().unwrap(), done["position"].as_u64().unwrap());
        for server in 0..2 {
            let (seen, at) = servers.view(server, room, Some(position)).await;
            assert_eq!(seen, version);
            assert!(at >= position);
            let people = format!("{}/v1/rooms/{room}/participants?at_least={position}", servers.servers[server].url);
            let people = servers.servers[server].client.get(people).bearer_auth(&servers.token).send().await.unwrap();
            let people: Value = people.json().await.unwrap();
            assert_eq!(people["participants"].as_array().unwrap().len(), usize::from(command == "join"), "{people}");
        }
    }
    over.store(true, Ordering::Relaxed);
    for reader in plain {
        assert!(reader.await.unwrap() > 100);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_warms_sees_and_empties_the_caches_of_all_servers() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let servers = Servers::on(&db, &redis).await;
    let mut position = 0;
    let mut rooms = Vec::new();
    for _ in 0..5 {
        let made = servers.post(0, "/v1/rooms", &json!({})).await;
        rooms.push(made["room"].as_str().unwrap().to_owned());
    }
    // Two of them long enough for a snapshot in Redis.
    for number in 0..80 {
        let command = if number % 4 < 2 { "lock-room" } else { "unlock-room" };
        let path = format!("/v1/rooms/{}/commands/{command}", rooms[number % 2]);
        position = servers.post(0, &path, &json!({})).await["position"].as_u64().unwrap();
    }
    // Once the read model, in which open rooms are found, has them all.
    let listed = format!("{}/v1/rooms?at_least={position}", servers.servers[0].url);
    let listed = servers.servers[0].client.get(listed).bearer_auth(&servers.token).send().await.unwrap();
    assert_eq!(listed.status(), 200);
    // Both listen, and both follow the log.
    eventually("both servers answer", PATIENCE, async || {
        let told = servers.cache(&["stats"]).await;
        (told.len() == 2 && told.iter().all(|told| told["stats"]["following"] == true)).then_some(())
    })
    .await;

    let warmed = servers.cache(&["warm"]).await;
    assert_eq!(warmed.len(), 2, "{warmed:?}");
    assert!(warmed.iter().all(|told| told["warmed"]["rooms"] == 5 && told["warmed"]["failed"] == 0), "{warmed:?}");
    let told = servers.cache(&["stats"]).await;
    assert!(told.iter().all(|told| told["stats"]["size"]["entries"] == 5), "{told:?}");
    let before: Vec<u64> = told.iter().map(|told| told["stats"]["database"]["asked"].as_u64().unwrap()).collect();
    for room in &rooms {
        servers.view(0, room, None).await;
        servers.view(1, room, None).await;
    }
    let told = servers.cache(&["stats"]).await;
    let after: Vec<u64> = told.iter().map(|told| told["stats"]["database"]["asked"].as_u64().unwrap()).collect();
    assert_eq!(before, after, "what is warm is not loaded");
    assert!(told.iter().any(|told| told["stats"]["memory"]["hits"].as_u64() >= Some(5)), "{told:?}");
    eventually("all is in Redis", PATIENCE, async || (redis.keys().await.len() == 2).then_some(())).await;

    let one = format!("room:{}*", rooms[0]);
    let forgot = servers.cache(&["forget", &one]).await;
    assert!(forgot.iter().all(|told| told["forgot"]["memory"] == 1), "{forgot:?}");
    assert_eq!(redis.keys().await.len(), 1);
    let others = servers.cache(&["forget", "room:*", "--tenant", "other"]).await;
    assert!(others.iter().all(|told| told["forgot"]["memory"] == 0), "{others:?}");
    servers.cache(&["forget", "room:*"]).await;
    assert_eq!(redis.keys().await, Vec::<String>::new());
    let told = servers.cache(&["stats"]).await;
    assert!(told.iter().all(|told| told["stats"]["size"]["entries"] == 0), "{told:?}");

    let shown = servers.run.clone().args(["cache", "stats"]).run().await;
    assert!(shown.stdout.contains("redis (closed)") && shown.stdout.contains("follows the log"), "{shown:?}");
    let bad = servers.run.clone().args(["cache", "forget", "people[1]"]).run().await;
    assert!(bad.status == 1 && bad.stderr.contains("room:*"), "{bad:?}");
    let metrics = servers.servers[0].get("/metrics").await.text().await.unwrap();
    for line in ["convoke_cache_reads_total{layer=\"memory\",outcome=\"hit\"}", "convoke_cache_bytes{layer=\"redis\"}"]
    {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    let health = servers.servers[0].get("/health/ready").await.text().await.unwrap();
    assert!(health.contains("redis closed"), "{health}");
}

#[tokio::test]
async fn without_a_server_there_is_no_cache_to_ask_about() {
    let db = TestDb::new().await;
    let ended = Run::on(&db).args(["cache", "stats"]).run().await;
    assert!(ended.status == 1 && ended.stderr.contains("no server runs"), "{ended:?}");
}

#[tokio::test]
async fn a_redis_that_is_not_there_keeps_no_server_from_starting_and_answering() {
    let (db, mut redis) = (TestDb::new().await, Redis::start().await);
    redis.kill();
    let servers = Servers::on(&db, &redis).await;
    let made = servers.post(0, "/v1/rooms", &json!({})).await;
    let room = made["room"].as_str().unwrap();
    for _ in 0..20 {
        assert_eq!(servers.view(1, room, made["position"].as_u64()).await.0, 1);
    }
    assert_eq!(servers.servers[1].get("/health/ready").await.status(), 200);
}
