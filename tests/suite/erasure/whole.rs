//! One erasure, from the command to every place where something of the person was: two servers, Redis, Kafka.

use std::time::Duration;

use serde_json::json;

use super::{erase, written};
use crate::api::streams::Reader;
use crate::api::{Answer, Service, person, server_token};
use crate::harness::kafka::{Broker, prefix};
use crate::harness::{Redis, Run, Server, eventually};
use crate::kafka::audited_clean;
use crate::kafka::records::records;
use crate::security::forgotten::{digests, log_is_whole, reads, rooms_with_alice, tells_of_alice};

const SOON: Duration = Duration::from_secs(30);
const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// Reads that tell of people in other ways than the others.
async fn told_otherwise(service: &Service, room: &str) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    for read in ["timeline", "sessions", "participants?version=3", "messages?limit=1", "attendance"] {
        let path = format!("/v1/rooms/{room}/{read}");
        texts.push((path.clone(), Answer::of(service.get(&server_token(), &path)).await.is(200).text));
    }
    texts
}

/// The same service through another of its servers.
fn through(service: Service, server: Server) -> (Service, Server) {
    let Service { server: one, run, db } = service;
    (Service { server, run, db }, one)
}

async fn verify(run: &Run, texts: &str) -> serde_json::Value {
    run.clone()
        .args(["erase", "verify", "--tenant", "acme", "--identity", "alice", "--texts", texts, "--json"])
        .json()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_erased_is_erased_in_every_process_and_store_and_a_search_finds_nothing() {
    let (broker, prefix, redis) = (Broker::shared().await, prefix(), Redis::start().await);
    let set = |run: Run| {
        let run = broker.under(run, &prefix).with("REDIS_URL", &redis.url());
        // What the program tells at its most talkative is looked through, too.
        run.with("CONVOKE_LOG_SNAPSHOT_INTERVAL", "5").with("CONVOKE_LOG_LEVEL", "convoke=trace")
    };
    let service = Service::start_with(|run| set(run).with("CONVOKE_ROLES", "api,projector,relay")).await;
    // What happens comes to it by the topic.
    let other = service.run.clone().with("CONVOKE_ROLES", "api").with("CONVOKE_FEED", "kafka").serve().await;
    let rooms = rooms_with_alice(&service).await;
    let room = rooms.0.clone();
    // Long enough for a snapshot in Redis.
    for number in 0..32 {
        let name = if number % 2 == 0 { "lock-room" } else { "unlock-room" };
        service.command(&server_token(), &room, name, &json!({})).await.is(200);
    }
    // What she wrote under an idempotency key.
    let renaming = service.post(
        &person("alice"),
        &format!("/v1/rooms/{room}/commands/rename"),
        &json!({ "display_name": "Queen of alice" }),
    );
    Answer::of(renaming.header("idempotency-key", "k")).await.is(200);
    for (path, text) in reads(&service, &rooms).await {
        assert!(tells_of_alice(&text) && !text.contains("\"erased\""), "{path}: {text}");
    }
    let timeline = &told_otherwise(&service, &room).await[0].1;
    assert!(timeline.contains("Queen of alice") && timeline.contains("said by alice"), "{timeline}");
    let (service, first) = through(service, other);
    for (path, text) in reads(&service, &rooms).await {
        assert!(tells_of_alice(&text), "through the other server, {path}: {text}");
    }
    eventually("a snapshot of the room is in Redis", SOON, async || {
        redis.keys().await.iter().any(|key| key.ends_with(&format!(":room:{room}"))).then_some(())
    })
    .await;
    let before = digests(&service, "verify").await;
    let texts = service.run.clone().args(["erase", "texts", "--tenant", "acme", "--identity", "alice"]).run().await;
    for text in ["The alice", "Queen of alice", "of alice", "said by alice", "mended by alice"] {
        assert!(texts.stdout.lines().any(|line| line == format!("\"{text}\"")), "{texts:?}");
    }
    let list = service.run.folder.join("alice.txt");
    std::fs::write(&list, &texts.stdout).unwrap();
    // What is kept is sealed before, too: an erasure has nothing to clean.
    let at_rest = verify(&service.run, list.to_str().unwrap()).await;
    assert_eq!((&at_rest["found"], &at_rest["has_key"]), (&json!(0), &json!(true)), "{at_rest:#}");

    let mut stream = Reader::open(&service, &server_token(), "/v1/events", None).await;
    let (service, other) = through(service, first);
    let erased = erase(&service, &server_token(), "alice").await.is(200);
    assert_eq!(written(&erased), 1, "{}", erased.text);
    for (path, text) in reads(&service, &rooms).await {
        assert!(!tells_of_alice(&text), "at once, in the process that was asked, {path}: {text}");
    }
    let event = stream.event().await.unwrap();
    assert_eq!((event.event.as_str(), &event.data["data"]), ("person.erased", &json!({ "identity": "alice" })));
    assert_eq!((&event.data["room"], &event.data["actor"]), (&json!(NIL), &json!("key:main")));
    let (service, first) = through(service, other);
    eventually("alice reads as erased through the other server", SOON, async || {
        let mut texts = reads(&service, &rooms).await;
        texts.extend(told_otherwise(&service, &room).await);
        texts.iter().all(|(_, text)| !tells_of_alice(text)).then_some(())
    })
    .await;

    assert_eq!(digests(&service, "verify").await, before, "no row was touched");
    log_is_whole(&service).await;
    let audited = audited_clean(&service.db, broker, &prefix).await;
    assert_eq!(audited["head"].to_string(), erased.body["position"].to_string(), "the erasure is in the topic too");
    let record = records(broker, &format!("{prefix}.events")).pop().unwrap();
    assert_eq!((record.key.as_str(), &record.value), (NIL, &json!({ "identity": "alice" })));
    assert_eq!(record.headers["ce_type"], "person.erased");
    assert_eq!(
        (record.headers["ce_source"].as_str(), record.headers["ce_roomversion"].as_str()),
        ("/tenants/acme", "1")
    );

    let exported = service.run.clone().args(["export", "--tenant", "acme", "--open"]).run().await;
    assert!(exported.status == 0 && !tells_of_alice(&exported.stdout), "{exported:?}");
    let last: serde_json::Value = serde_json::from_str(exported.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last, event.data, "an export has the event as streams have it");

    let report = verify(&service.run, list.to_str().unwrap()).await;
    assert_eq!(report["has_key"], false);
    assert_eq!((&report["found"], &report["texts"]), (&json!(0), &json!(texts.stdout.lines().count())), "{report:#}");
    let searched = |name: &str| {
        let places = report["places"].as_array().unwrap().iter();
        let named = places.filter(|place| place["place"].as_str().unwrap().starts_with(name));
        named.map(|place| place["searched"].as_u64().unwrap()).sum::<u64>()
    };
    for place in ["table log_2", "table outcomes_", "table room_snapshots", "table rm_", "Redis", "topic "] {
        assert!(searched(place) > 0, "{place} was searched: {report:#}");
    }
    let nothing = service.run.clone().args(["erase", "texts", "--tenant", "acme", "--identity", "alice"]).run().await;
    assert!(
        nothing.status == 0 && nothing.stdout.is_empty() && nothing.stderr.contains("no personal data"),
        "{nothing:?}"
    );
    for log in [first.log(), service.server.log()] {
        assert!(!tells_of_alice(&log), "{log}");
    }
}
