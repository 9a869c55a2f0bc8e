//! Events in pages and in lines: all of them, in order, and only for those they are meant for.

use convoke::events::log::append::AppendBatch;
use convoke::security::grants::Grants;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Answer, Service, claims, person, server_token, signed};
use crate::log::{log_of, more, now, room};

/// A room with two people and one who will not be told everything.
async fn room_with_messages(service: &Service) -> String {
    let room = service.room(&json!({})).await;
    for (identity, role) in [("alice", "host"), ("bob", "speaker"), ("carol", "speaker")] {
        service.join(&room, identity, role).await;
    }
    for (from, message) in [
        ("alice", json!({ "text": "hello all" })),
        ("alice", json!({ "text": "psst", "to": { "identities": ["bob"] } })),
        ("alice", json!({ "text": "for staff", "to": "staff" })),
        ("bob", json!({ "text": "bye all" })),
    ] {
        service.command(&person(from), &room, "send-message", &message).await.is(200);
    }
    room
}

fn texts(events: &Value) -> Vec<&str> {
    let events = events.as_array().unwrap().iter();
    events.filter_map(|event| event["personal"]["text"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_read_page_by_page_without_a_gap() {
    let service = Service::start().await;
    let room = room_with_messages(&service).await;
    let mut versions = Vec::new();
    let mut cursor = String::from("start");
    loop {
        let path = format!("/v1/rooms/{room}/events?limit=3&cursor={cursor}");
        let page = Answer::of(service.get(&server_token(), &path)).await.is(200);
        let events = page.body["events"].as_array().unwrap();
        versions.extend(events.iter().map(|event| event["room_version"].as_u64().unwrap()));
        cursor = page.body["next_cursor"].as_str().unwrap().to_owned();
        if page.body["has_more"] == false {
            break;
        }
        assert_eq!(events.len(), 3);
    }
    let last = *versions.last().unwrap();
    assert_eq!(versions, (1..=last).collect::<Vec<_>>());
    service.command(&server_token(), &room, "lock-room", &json!({})).await.is(200);
    let more = Answer::of(service.get(&server_token(), &format!("/v1/rooms/{room}/events?cursor={cursor}"))).await;
    assert_eq!(more.body["events"][0]["type"], "room.locked");
    let bounded = format!("/v1/rooms/{room}/events?cursor=2&until=4");
    let bounded = Answer::of(service.get(&server_token(), &bounded)).await.is(200);
    assert_eq!(bounded.body["events"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_for_those_it_was_sent_to() {
    let service = Service::start().await;
    let room = room_with_messages(&service).await;
    let path = format!("/v1/rooms/{room}/events");
    let lister = signed(&claims("acme", None, Grants { room_list: true, ..Grants::default() }));
    for (token, sees) in [
        (server_token(), vec!["hello all", "psst", "for staff", "bye all"]),
        (person("alice"), vec!["hello all", "psst", "for staff", "bye all"]),
        (person("bob"), vec!["hello all", "psst", "bye all"]),
        (person("carol"), vec!["hello all", "bye all"]),
        (lister, vec![]),
    ] {
        let page = Answer::of(service.get(&token, &path)).await.is(200);
        assert_eq!(texts(&page.body["events"]), sees);
    }
    Answer::of(service.get(&person("eve"), &path)).await.is(403).problem("forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lister_may_not_see_is_withheld_and_says_so() {
    let service = Service::start().await;
    let room = room_with_messages(&service).await;
    let lister = signed(&claims("acme", None, Grants { room_list: true, ..Grants::default() }));
    let page = Answer::of(service.get(&lister, "/v1/events")).await.is(200);
    let events = page.body["events"].as_array().unwrap();
    let messages: Vec<_> = events.iter().filter(|event| event["type"] == "room.message-sent").collect();
    assert_eq!(messages.len(), 2, "only those to everyone");
    assert!(messages.iter().all(|message| message["withheld"] == true && message.get("personal").is_none()));
    assert!(events.iter().all(|event| event["room"] == *room));
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_of_hidden_messages_are_hidden_too() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for identity in ["alice", "bob", "carol"] {
        service.join(&room, identity, "speaker").await;
    }
    let sent = service
        .command(&person("alice"), &room, "send-message", &json!({ "text": "psst", "to": { "identities": ["bob"] } }))
        .await
        .is(200);
    let message = sent.body["events"][0]["room_version"].as_u64().unwrap();
    service.command(&person("alice"), &room, "delete-message", &json!({ "message": message })).await.is(200);
    for (cursor, reader, shown) in
        [(0, "bob", true), (0, "carol", false), (message, "bob", true), (message, "carol", false)]
    {
        let path = format!("/v1/rooms/{room}/events?cursor={cursor}");
        let page = Answer::of(service.get(&person(reader), &path)).await.is(200);
        let types: Vec<_> = page.body["events"].as_array().unwrap().iter().map(|event| event["type"].clone()).collect();
        assert_eq!(types.contains(&json!("room.message-deleted")), shown, "{reader} from {cursor}: {types:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_long_log_take_no_more_memory_than_those_of_a_short_one() {
    let mut peaks = Vec::new();
    let mut bytes = 0;
    for batches in [6, 60] {
        let service = Service::start_with(|run| run.with("CONVOKE_ROLES", "api")).await;
        let (log, key) = (log_of(&service.db), room());
        for _ in 0..batches {
            let mut batch = more(&log, 0, &key, 500).await;
            for event in &mut batch.events {
                let data = json!({ "identity": "x".repeat(2_000) }).to_string();
                event.data = RawValue::from_string(data).unwrap().into();
            }
            log.append(&AppendBatch::new(now(), vec![batch])).await.unwrap();
        }
        let request = service.get(&server_token(), "/v1/events").header("accept", "application/x-ndjson");
        let mut answer = request.send().await.unwrap();
        bytes = 0;
        while let Some(chunk) = answer.chunk().await.unwrap() {
            bytes += chunk.len();
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", service.server.pid)).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
        peaks.push(peak.parse::<usize>().unwrap() / 1024);
    }
    let size = bytes / 1024 / 1024;
    assert!(size > 60 && peaks[1] < peaks[0] + 24, "MiB at most: {peaks:?}; the long one sent {size}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_hold_all_of_a_stretch() {
    let service = Service::start().await;
    let room = room_with_messages(&service).await;
    let lines = async |path: &str| {
        let request = service.get(&server_token(), path).header("accept", "application/x-ndjson");
        let answer = Answer::of(request).await.is(200);
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        assert!(answer.text.is_empty() || answer.text.ends_with('\n'));
        answer.text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let page = Answer::of(service.get(&server_token(), &format!("/v1/rooms/{room}/events"))).await.is(200);
    assert_eq!(json!(lines(&format!("/v1/rooms/{room}/events")).await), page.body["events"]);
    assert_eq!(json!(lines("/v1/events").await), page.body["events"]);
    assert_eq!(lines("/v1/events?cursor=2&until=5").await.len(), 3);
    let last = page.body["events"].as_array().unwrap().last().unwrap()["position"].as_u64().unwrap();
    assert_eq!(lines(&format!("/v1/events?cursor={last}")).await.len(), 0);
    let since = page.body["events"][2]["recorded_at"].as_str().unwrap();
    let from = lines(&format!("/v1/rooms/{room}/events?since={since}")).await;
    assert_eq!(from[0]["room_version"], 3);
}
