//! A Redis that is spoken to over TLS.

use std::time::Duration;

use convoke::security::grants::Grants;
use serde_json::json;

use crate::harness::{Redis, Run, Server, TestDb, eventually, tokens};

const PATIENCE: Duration = Duration::from_secs(30);

/// Makes a room through one server and reads it through another, which is answered whatever Redis does.
async fn read_a_room(maker: &Server, server: &Server) {
    let token = tokens::of("acme", None, Grants::everything());
    let request = maker.client.post(format!("{}/v1/rooms", maker.url)).bearer_auth(&token).json(&json!({}));
    let made: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    let room = made["room"].as_str().unwrap();
    // A room of few events is read from them.
    for number in 0..40 {
        let name = if number % 2 == 0 { "lock-room" } else { "unlock-room" };
        let url = format!("{}/v1/rooms/{room}/commands/{name}", maker.url);
        let done = maker.client.post(url).bearer_auth(&token).json(&json!({})).send().await.unwrap();
        assert_eq!(done.status(), 200, "{}", done.text().await.unwrap());
    }
    let url = format!("{}/v1/rooms/{room}?at_least={}", server.url, made["position"]);
    let read = server.client.get(url).bearer_auth(&token).send().await.unwrap();
    assert_eq!(read.status(), 200, "{}", read.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_lie_in_a_redis_over_tls_whose_certificate_is_trusted_and_in_no_other() {
    let (db, redis) = (TestDb::new().await, Redis::secured().await);
    let (url, certificate) = redis.over_tls();
    let maker = tokens::accepted_by(Run::on(&db)).serve().await;
    let run = tokens::accepted_by(Run::on(&db).with("REDIS_URL", &url));
    let stranger = run.clone().with("CONVOKE_LOG_LEVEL", "convoke=debug").serve().await;
    read_a_room(&maker, &stranger).await;
    eventually("a certificate that nobody vouches for is refused", PATIENCE, async || {
        let log = stranger.log();
        (log.contains("write of snapshots to Redis failed") && log.contains("UnknownIssuer")).then_some(())
    })
    .await;
    assert!(redis.keys().await.is_empty());
    let server = run.with("SSL_CERT_FILE", certificate.certificate().to_str().unwrap()).serve().await;
    read_a_room(&maker, &server).await;
    eventually("the room lies in Redis", PATIENCE, async || (!redis.keys().await.is_empty()).then_some(())).await;
}
