//! Live streams: history and live without a seam, cursors that go on where they were, ends that say why.

use std::time::Duration;

use convoke::security::grants::Grants;
use convoke::security::tokens::{Claims, NumericDate};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{Answer, Service, claims, person, server_token, signed};

const PATIENCE: Duration = Duration::from_secs(20);

/// One block of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub id: String,
    pub event: String,
    pub data: Value,
    retry: String,
}

/// A reader of server-sent events.
pub struct Reader {
    bytes: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    text: String,
}

impl Reader {
    pub async fn open(service: &Service, token: &str, path: &str, last: Option<&str>) -> Self {
        let mut request = service.get(token, path).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { bytes: response.bytes_stream().boxed(), text: String::new() }
    }

    /// The next block; `None` at the end of the stream.
    async fn block(&mut self) -> Option<Block> {
        Some(self.next_block().await?.1)
    }

    async fn next_block(&mut self) -> Option<(String, Block)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = (block.to_owned(), parse(block));
                self.text = rest.to_owned();
                return Some(block);
            }
            let next = tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("the stream goes on");
            let bytes = next?.unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    /// The next event as it was written.
    pub async fn raw_event(&mut self) -> Option<String> {
        loop {
            let (text, _) = self.next_block().await?;
            if text.contains("\nevent: ") {
                return Some(text);
            }
        }
    }

    /// The next event; places and heartbeats are passed over.
    pub async fn event(&mut self) -> Option<Block> {
        loop {
            let block = self.block().await?;
            if !block.event.is_empty() {
                return Some(block);
            }
        }
    }
}

fn parse(text: &str) -> Block {
    let mut block = Block::default();
    for line in text.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => block.id = id.into(),
            Some(("event", event)) => block.event = event.into(),
            Some(("retry", retry)) => block.retry = retry.into(),
            Some(("data", data)) => block.data = serde_json::from_str(data).unwrap(),
            _ => assert!(line.starts_with(':'), "{line}"),
        }
    }
    block
}

/// Readers that are sent away in one instant are not to come back in one.
#[tokio::test(flavor = "multi_thread")]
async fn readers_are_told_to_come_back_at_different_times() {
    let service = Service::start().await;
    let mut waits = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let mut reader = Reader::open(&service, &server_token(), "/v1/events", None).await;
        let wait: u32 = reader.block().await.unwrap().retry.trim().parse().unwrap();
        assert!((3_000..=6_000).contains(&wait), "{wait}");
        waits.insert(wait / 100);
    }
    assert!(waits.len() > 5, "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_now_and_brings_what_comes() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let path = format!("/v1/rooms/{room}/events");
    let mut reader = Reader::open(&service, &server_token(), &path, None).await;
    assert_ne!(reader.block().await.unwrap().retry, "");
    let begin = reader.block().await.unwrap();
    assert!(begin.id.ends_with("-v1") && begin.event.is_empty(), "{begin:?}");
    service.join(&room, "alice", "host").await;
    let joined = reader.event().await.unwrap();
    assert_eq!((&*joined.event, &joined.data["room_version"]), ("room.participant-joined", &json!(2)));
    assert_eq!(joined.data["personal"]["display_name"], "The alice");
    assert!(joined.id.ends_with("-v2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_seam_lies_between_history_and_live() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    let writing = async {
        for turn in 0..150 {
            let command = if turn % 2 == 0 { "raise-hand" } else { "lower-hand" };
            service.command(&person("alice"), &room, command, &json!({})).await.is(200);
        }
    };
    let reading = async {
        // Readers that begin in the midst of writing, again and again, each from its last id.
        let path = format!("/v1/rooms/{room}/events?cursor=start");
        let (mut last, mut seen) = (None, Vec::new());
        while seen.len() < 152 {
            let mut reader = Reader::open(&service, &server_token(), &path, last.as_deref()).await;
            for _ in 0..7 {
                if seen.len() == 152 {
                    break;
                }
                let event = reader.event().await.unwrap();
                seen.push(event.data["room_version"].as_u64().unwrap());
                last = Some(event.id);
            }
        }
        seen
    };
    let ((), seen) = tokio::join!(writing, reading);
    assert_eq!(seen, (1..=152).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_a_tenant_brings_its_rooms_and_no_others() {
    let service = Service::start().await;
    let mut reader = Reader::open(&service, &server_token(), "/v1/events?cursor=start", None).await;
    let first = service.room(&json!({})).await;
    let stranger = signed(&claims("globex", None, Grants::everything()));
    Answer::of(service.post(&stranger, "/v1/rooms", &json!({}))).await.is(201);
    let second = service.room(&json!({})).await;
    for (room, position) in [(first, 1), (second, 3)] {
        let event = reader.event().await.unwrap();
        assert_eq!((&event.data["room"], &event.data["position"]), (&json!(room), &json!(position)));
        assert!(event.id.ends_with(&format!("-p{position}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_message_is_left_out_for_others_and_versions_jump() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for identity in ["alice", "bob", "carol"] {
        service.join(&room, identity, "speaker").await;
    }
    let path = format!("/v1/rooms/{room}/events");
    let mut bob = Reader::open(&service, &person("bob"), &path, None).await;
    let mut carol = Reader::open(&service, &person("carol"), &path, None).await;
    for message in [json!({ "text": "psst", "to": { "identities": ["bob"] } }), json!({ "text": "hello" })] {
        service.command(&person("alice"), &room, "send-message", &message).await.is(200);
    }
    assert_eq!(bob.event().await.unwrap().data["personal"]["text"], "psst");
    assert_eq!(bob.event().await.unwrap().data["room_version"], 6);
    let seen = carol.event().await.unwrap();
    assert_eq!((&seen.data["room_version"], &seen.data["personal"]["text"]), (&json!(6), &json!("hello")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_a_room_ends_with_it_and_then_has_nothing() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let path = format!("/v1/rooms/{room}/events");
    let mut reader = Reader::open(&service, &server_token(), &path, None).await;
    service.command(&server_token(), &room, "end-room", &json!({})).await.is(200);
    let ended = reader.event().await.unwrap();
    assert_eq!(ended.event, "room.ended");
    let goodbye = reader.event().await.unwrap();
    assert_eq!((&*goodbye.event, &goodbye.data["reason"]), ("goodbye", &json!("room-ended")));
    assert_eq!(reader.block().await, None);
    let again = service.get(&server_token(), &path).header("accept", "text/event-stream");
    Answer::of(again.header("last-event-id", &ended.id)).await.is(204);
    let mut history = Reader::open(&service, &server_token(), &format!("{path}?cursor=start"), None).await;
    assert_eq!(history.event().await.unwrap().event, "room.created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_sends_its_readers_away() {
    let mut service = Service::start().await;
    let room = service.room(&json!({})).await;
    let mut reader = Reader::open(&service, &server_token(), &format!("/v1/rooms/{room}/events"), None).await;
    let stopped = service.server.terminate().await;
    assert!(stopped.success());
    let goodbye = reader.event().await.unwrap();
    assert_eq!((&goodbye.data["reason"], goodbye.id.ends_with("-v1")), (&json!("stopping"), true));
    assert_eq!(reader.block().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_streams_are_open_as_the_server_takes() {
    let service = Service::start_with(|run| run.with("CONVOKE_STREAMS_LIMIT", "2")).await;
    let room = service.room(&json!({})).await;
    let path = format!("/v1/rooms/{room}/events");
    let first = Reader::open(&service, &server_token(), &path, None).await;
    let _second = Reader::open(&service, &server_token(), &path, None).await;
    let ask = async || Answer::of(service.get(&server_token(), &path).header("accept", "text/event-stream")).await;
    let refused = ask().await.is(503).problem("too-many-streams");
    assert_ne!(refused.header("retry-after"), "");
    drop(first);
    crate::harness::eventually("a place becomes free", PATIENCE, async || {
        let request = service.get(&server_token(), &path).header("accept", "text/event-stream");
        (request.send().await.unwrap().status().as_u16() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_stream_shows_that_it_lives_and_where_it_is() {
    let service = Service::start_with(|run| run.with("CONVOKE_STREAMS_HEARTBEAT", "1s")).await;
    let room = service.room(&json!({})).await;
    let mut quiet = Reader::open(&service, &server_token(), &format!("/v1/rooms/{room}/events"), None).await;
    quiet.block().await.unwrap();
    quiet.block().await.unwrap();
    assert_eq!(quiet.block().await.unwrap(), Block::default(), "a comment");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_removed_from_the_room_hears_no_more_of_it() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    service.join(&room, "bob", "speaker").await;
    let path = format!("/v1/rooms/{room}/events");
    let mut bob = Reader::open(&service, &person("bob"), &path, None).await;
    service.command(&person("alice"), &room, "remove", &json!({ "identity": "bob" })).await.is(200);
    service.command(&person("alice"), &room, "send-message", &json!({ "text": "now that bob is gone" })).await.is(200);
    let left = bob.event().await.unwrap();
    assert_eq!((&*left.event, &left.data["data"]["reason"]), ("room.participant-left", &json!("removed")));
    let goodbye = bob.event().await.unwrap();
    assert_eq!((&*goodbye.event, &goodbye.data["reason"]), ("goodbye", &json!("not-in-room")));
    assert_eq!(bob.block().await, None);
    Answer::of(service.get(&person("bob"), &path)).await.is(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_does_not_outlive_its_token() {
    let service = Service::start_with(|run| run.with("CONVOKE_STREAMS_HEARTBEAT", "1s")).await;
    let room = service.room(&json!({})).await;
    let soon = convoke::events::time::Clock::system().now().plus_seconds(3);
    let short = claims("acme", None, Grants::everything());
    let short = signed(&Claims { exp: Some(NumericDate::at(soon)), ..short });
    let mut reader = Reader::open(&service, &short, &format!("/v1/rooms/{room}/events"), None).await;
    let goodbye = reader.event().await.unwrap();
    assert_eq!((&*goodbye.event, &goodbye.data["reason"]), ("goodbye", &json!("token-ended")));
    assert_eq!(reader.block().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_tenant_is_moved_past_what_only_others_did() {
    let service = Service::start_with(|run| run.with("CONVOKE_STREAMS_HEARTBEAT", "1s")).await;
    let mut reader = Reader::open(&service, &server_token(), "/v1/events?cursor=start", None).await;
    let stranger = signed(&claims("globex", None, Grants::everything()));
    for _ in 0..3 {
        Answer::of(service.post(&stranger, "/v1/rooms", &json!({}))).await.is(201);
    }
    let moved = loop {
        let block = reader.block().await.unwrap();
        assert!(block.event.is_empty(), "{block:?}");
        if block.id.ends_with("-p3") {
            break block.id;
        }
    };
    let mut again = Reader::open(&service, &server_token(), "/v1/events", Some(&moved)).await;
    let room = service.room(&json!({})).await;
    for reader in [&mut reader, &mut again] {
        let event = reader.event().await.unwrap();
        assert_eq!((&event.data["room"], &event.data["position"]), (&json!(room), &json!(4)));
    }
}
