//! What is answered has the shape that the description of the API tells of it.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::streams::{Block, Reader};
use super::{Answer, Service, person, server_token};

struct Description(Value);

impl Description {
    async fn of(service: &Service) -> Self {
        Self(service.server.get("/openapi.json").await.json().await.unwrap())
    }

    /// Of what is answered by 200 in this form.
    fn answer(&self, method: &str, path: &str, form: &str) -> Validator {
        self.validator(&self.0["paths"][path][method]["responses"]["200"]["content"][form]["schema"])
    }

    fn validator(&self, schema: &Value) -> Validator {
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        jsonschema::draft202012::new(&schema).unwrap()
    }
}

#[track_caller]
fn is_valid(shape: &Validator, value: &Value) {
    let faults: Vec<_> = shape.iter_errors(value).map(|e| format!("{} {e}", e.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?} {value:#}");
}

/// Who asks what of a room in which `alice` is host and `bob` speaks.
fn story(track: &str) -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("alice", "update-settings", json!({ "lobby": "guests", "max_duration_s": null, "labels": { "a": "b" } })),
        ("carol", "join", json!({ "role": "viewer", "display_name": "Carol" })),
        ("alice", "admit", json!({ "identity": "carol" })),
        ("dora", "join", json!({ "role": "viewer" })),
        ("alice", "deny", json!({ "identity": "dora" })),
        ("alice", "lock-room", json!({})),
        ("alice", "lock-room", json!({})),
        ("alice", "unlock-room", json!({})),
        ("bob", "rename", json!({ "display_name": "Robert" })),
        ("bob", "set-participant-metadata", json!({ "metadata": { "seat": 4 } })),
        ("bob", "raise-hand", json!({})),
        ("alice", "lower-all-hands", json!({})),
        ("bob", "mute-track", json!({ "track": track })),
        ("bob", "unmute-track", json!({ "track": track })),
        ("alice", "mute-all", json!({})),
        ("alice", "allow-unmute", json!({ "identity": "bob" })),
        ("alice", "set-spotlight", json!({ "identity": "bob" })),
        ("alice", "clear-spotlight", json!({})),
        ("bob", "send-message", json!({ "text": "psst", "to": { "identities": ["alice"] } })),
        ("bob", "send-message", json!({ "text": "hello" })),
        ("alice", "change-role", json!({ "identity": "bob", "role": "viewer" })),
        ("alice", "transfer-host", json!({ "identity": "bob" })),
        ("bob", "ban", json!({ "identity": "carol", "ban_s": 60 })),
        ("bob", "unban", json!({ "identity": "carol" })),
        ("alice", "leave", json!({})),
        ("bob", "end-room", json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_events_are_answered_in_the_shapes_described() {
    let service = Service::start().await;
    let description = Description::of(&service).await;
    let room = service.room(&json!({ "name": "described", "settings": { "chat": "everyone" } })).await;
    service.join(&room, "alice", "host").await;
    service.join(&room, "bob", "speaker").await;
    let publish = json!({ "source": "camera", "codec": "VP8", "width": 640, "height": 480 });
    let published = service.command(&person("bob"), &room, "publish-track", &publish).await.is(200);
    let track = published.body["events"][0]["data"]["track"].as_str().unwrap();
    for (who, command, body) in story(track) {
        let answer = service.command(&person(who), &room, command, &body).await.is(200);
        let path = format!("/v1/rooms/{{room}}/commands/{command}");
        is_valid(&description.answer("post", &path, "application/json"), &answer.body);
    }
    let two = json!({ "commands": [
        { "room": room, "command": "join" },
        { "command": "create-room", "data": { "name": "another" } },
    ] });
    let results = Answer::of(service.post(&server_token(), "/v1/commands", &two)).await.is(200);
    is_valid(&description.answer("post", "/v1/commands", "application/json"), &results.body);

    let erasure = service.post(&server_token(), "/v1/commands/erase-person", &json!({ "identity": "bob" }));
    let erased = Answer::of(erasure).await.is(200);
    is_valid(&description.answer("post", "/v1/commands/erase-person", "application/json"), &erased.body);

    let page = Answer::of(service.get(&server_token(), &format!("/v1/rooms/{room}/events?limit=1000"))).await.is(200);
    is_valid(&description.answer("get", "/v1/rooms/{room}/events", "application/json"), &page.body);
    let events = page.body["events"].as_array().unwrap();
    let types: BTreeSet<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert!(types.len() > 20, "{types:?}");
    let lines = service.get(&server_token(), "/v1/events").header("accept", "application/x-ndjson");
    let line = description.answer("get", "/v1/events", "application/x-ndjson");
    let lines = Answer::of(lines).await.is(200).text;
    assert!(lines.lines().count() > events.len());
    lines.lines().for_each(|text| is_valid(&line, &serde_json::from_str(text).unwrap()));
}

/// What is told of an event of a stream, checked against the description of the streams.
struct Frames(Value);

impl Frames {
    async fn of(service: &Service) -> Self {
        Self(service.server.get("/asyncapi.json").await.json().await.unwrap())
    }

    fn is_described(&self, channel: &str, block: &Block) {
        let name = block.event.as_str();
        assert!(self.0["channels"][channel]["messages"].get(name).is_some(), "{channel} is not said to bring {name}");
        let part = |part: &str| {
            let mut schema = self.0["components"]["messages"][name][part].clone();
            schema["components"] = self.0["components"].clone();
            jsonschema::draft202012::new(&schema).unwrap()
        };
        is_valid(&part("headers"), &json!({ "id": block.id, "event": name }));
        is_valid(&part("payload"), &block.data);
        // Another event's data would not do.
        assert!(!part("payload").is_valid(&json!({ "position": 1 })), "the description of {name} takes anything");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_of_a_stream_has_the_shape_described() {
    let service = Service::start().await;
    let frames = Frames::of(&service).await;
    let room = service.room(&json!({ "name": "described" })).await;
    service.join(&room, "alice", "host").await;
    service.join(&room, "bob", "speaker").await;
    let published =
        service.command(&person("bob"), &room, "publish-track", &json!({ "source": "camera" })).await.is(200);
    let track = published.body["events"][0]["data"]["track"].as_str().unwrap();
    for (who, command, body) in story(track) {
        service.command(&person(who), &room, command, &body).await.is(200);
    }
    let mut told = BTreeSet::new();
    let mut stream =
        Reader::open(&service, &server_token(), &format!("/v1/rooms/{room}/events?cursor=start"), None).await;
    // The room has ended: the stream says goodbye after its last event.
    while let Some(block) = stream.event().await {
        frames.is_described("room-events", &block);
        told.insert(block.event.clone());
        if told.contains("goodbye") {
            break;
        }
    }
    assert!(told.contains("goodbye") && told.len() > 20, "{told:?}");
    let mut all = Reader::open(&service, &server_token(), "/v1/events?cursor=start", None).await;
    for _ in 0..20 {
        frames.is_described("events", &all.event().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_takes_no_event_with_the_data_of_another() {
    let service = Service::start().await;
    let description = Description::of(&service).await;
    let event = description.answer("get", "/v1/events", "application/x-ndjson");
    service.room(&json!({})).await;
    let page = Answer::of(service.get(&server_token(), "/v1/events")).await.is(200);
    let created = &page.body["events"][0];
    is_valid(&event, created);
    for (field, value) in [
        ("type", json!("room.ended")),
        ("type", json!("room.painted")),
        ("type_version", json!(9)),
        ("data", json!({})),
    ] {
        let mut other = created.clone();
        other[field] = value;
        assert!(!event.is_valid(&other), "{other:#}");
    }
}
