//! An erasure takes away what is personal and nothing else: rows, digests, events and their hashes stay as they were.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Answer, Service, operator_token, person, server_token};
use crate::harness::eventually;

const SOON: Duration = Duration::from_secs(30);

/// A room in which alice is known by name and by metadata and has spoken, and one that she waits for.
pub async fn rooms_with_alice(service: &Service) -> (String, String) {
    let (alice, bob) = (person("alice"), person("bob"));
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    service.join(&room, "bob", "speaker").await;
    for (token, command, body) in [
        (&alice, "set-participant-metadata", json!({ "metadata": { "seat": "of alice" } })),
        (&alice, "send-message", json!({ "text": "said by alice" })),
        (&alice, "edit-message", json!({ "message": 5, "text": "mended by alice" })),
        (&bob, "send-message", json!({ "text": "said by bob" })),
    ] {
        service.command(token, &room, command, &body).await.is(200);
    }
    let lobby = service.room(&json!({ "settings": { "lobby": "everyone" } })).await;
    let asks = json!({ "display_name": "The alice", "role": "viewer" });
    service.command(&alice, &lobby, "join", &asks).await.is(200);
    (room, lobby)
}

/// Every read in which alice may be seen: what is read as texts, by path.
pub async fn reads(service: &Service, (room, lobby): &(String, String)) -> Vec<(String, String)> {
    let head = Answer::of(service.get(&operator_token(), "/v1/log")).await.is(200);
    let position = head.header("convoke-position").to_owned();
    let mut texts = Vec::new();
    for path in [
        format!("/v1/rooms/{room}/participants"),
        format!("/v1/rooms/{room}/participants?version=4"),
        format!("/v1/rooms/{room}/messages"),
        format!("/v1/rooms/{room}/events"),
        format!("/v1/rooms/{lobby}/waiting"),
        "/v1/events".to_owned(),
    ] {
        let read = service.get(&server_token(), &path).header("convoke-at-least", &position);
        texts.push((path, Answer::of(read).await.is(200).text));
    }
    texts
}

/// What the personal fields of alice hold.
pub fn tells_of_alice(text: &str) -> bool {
    ["The alice", "of alice", "by alice"].iter().any(|told| text.contains(told))
}

/// Of each read model; a fresh fold gives the same.
pub async fn digests(service: &Service, command: &str) -> Vec<(String, String)> {
    let reports = service.run.clone().args(["projection", command, "--json"]).json().await;
    let of = |report: &Value| {
        assert_eq!(report["comparison"]["result"], "equal", "{report:#}");
        (report["name"].as_str().unwrap().to_owned(), report["digest"].as_str().unwrap().to_owned())
    };
    reports.as_array().unwrap().iter().map(of).collect()
}

pub async fn log_is_whole(service: &Service) {
    let ended = service.run.clone().args(["log", "verify"]).run().await;
    assert!(ended.status == 0 && ended.stdout.starts_with("intact: "), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_is_erased_in_every_read_while_rows_and_events_stay_as_they_were() {
    let service = Service::start().await;
    let rooms = rooms_with_alice(&service).await;
    for (path, text) in reads(&service, &rooms).await {
        assert!(tells_of_alice(&text) && !text.contains("\"erased\""), "{path}: {text}");
    }
    let before = digests(&service, "verify").await;

    let erase = ["erase", "--tenant", "acme", "--identity", "alice", "--yes"];
    assert_eq!(service.run.clone().args(erase).run().await.status, 0);
    eventually("alice reads as erased everywhere", SOON, async || {
        let reads = reads(&service, &rooms).await;
        let erased = |text: &str| !tells_of_alice(text) && text.contains("\"erased\":true");
        reads.iter().all(|(_, text)| erased(text)).then_some(())
    })
    .await;
    let messages = Answer::of(service.get(&server_token(), &format!("/v1/rooms/{}/messages", rooms.0))).await.is(200);
    assert_eq!(messages.body["messages"][1]["personal"]["text"], "said by bob", "of others nothing is gone");
    log_is_whole(&service).await;
    assert_eq!(digests(&service, "verify").await, before);
    assert_eq!(digests(&service, "rebuild").await, before, "rows folded without the key are the same rows");
    for (path, text) in reads(&service, &rooms).await {
        assert!(!tells_of_alice(&text), "{path}: {text}");
    }

    // She is still there, and may go on.
    service.command(&person("alice"), &rooms.0, "send-message", &json!({ "text": "said anew" })).await.is(200);
    eventually("the new message is read", SOON, async || {
        let read = Answer::of(service.get(&server_token(), &format!("/v1/rooms/{}/messages", rooms.0))).await.is(200);
        (read.body["messages"][2]["personal"]["text"] == "said anew").then_some(())
    })
    .await;
    digests(&service, "verify").await;
    log_is_whole(&service).await;
}
