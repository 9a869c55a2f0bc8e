//! Commands: from a request to a durable answer.

use convoke::security::grants::Grants;
use serde_json::json;

use super::{Answer, Service, claims, person, server_token, signed};

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_created_joined_and_commanded() {
    let service = Service::start().await;
    let created = Answer::of(service.post(&server_token(), "/v1/rooms", &json!({ "name": "standup" }))).await.is(201);
    let room = created.body["room"].as_str().unwrap();
    assert_eq!(created.header("location"), format!("/v1/rooms/{room}"));
    assert_eq!((created.header("etag"), created.header("convoke-position")), ("\"1\"", "1"));
    assert_eq!((&created.body["room_version"], &created.body["position"]), (&json!(1), &json!(1)));
    assert_eq!(created.body["events"][0]["type"], "room.created");

    let joined = service.command(&person("alice"), room, "join", &json!({})).await.is(200);
    assert_eq!(joined.header("etag"), "\"2\"");
    let raised = service.command(&person("alice"), room, "raise-hand", &json!({})).await.is(200);
    assert_eq!(raised.body["events"][0]["data"], json!({ "identity": "alice" }));

    let again = service.command(&person("alice"), room, "raise-hand", &json!({})).await.is(200);
    assert_eq!((&again.body["events"], &again.body["room_version"]), (&json!([]), &raised.body["room_version"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_its_status_its_code_and_what_stands_in_the_way() {
    let service = Service::start().await;
    let room = service.room(&json!({ "name": "standup" })).await;
    let taken = Answer::of(service.post(&server_token(), "/v1/rooms", &json!({ "name": "standup" }))).await;
    let taken = taken.is(409).problem("room-name-taken");
    assert_eq!(taken.body["room"], room);
    let existing = json!({ "name": "standup", "if_exists": "return" });
    let returned = Answer::of(service.post(&server_token(), "/v1/rooms", &existing)).await.is(200);
    assert_eq!(returned.body["room"], room);
    service.command(&person("bob"), &room, "raise-hand", &json!({})).await.is(409).problem("not-present");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_a_rooms_name_is_for_the_next_of_that_name_too_and_one_for_its_id_is_not() {
    let service = Service::start().await;
    let only = |room: &str| {
        let grants = Grants { room: Some(room.into()), room_join: true, ..Grants::default() };
        signed(&claims("acme", Some("alice"), grants))
    };
    let join = async |token: &str, room: &str| service.command(token, room, "join", &json!({})).await;
    let first = service.room(&json!({ "name": "standup" })).await;
    let (by_name, by_id) = (only("standup"), only(&first));
    join(&by_name, &first).await.is(200);
    join(&by_id, &first).await.is(200);
    service.command(&server_token(), &first, "end-room", &json!({})).await.is(200);
    let next = service.room(&json!({ "name": "standup" })).await;
    join(&by_name, &next).await.is(200);
    join(&by_id, &next).await.is(403).problem("not-granted");
    let other = service.room(&json!({ "name": "retro" })).await;
    join(&by_name, &other).await.is(403).problem("not-granted");
    for token in [&by_name, &by_id] {
        Answer::of(service.get(token, &format!("/v1/rooms/{first}/sessions"))).await.is(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_goes_upon_the_version_it_was_decided_on() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let path = format!("/v1/rooms/{room}/commands/lock-room");
    let lock = |tag: &str| Answer::of(service.post(&server_token(), &path, &json!({})).header("if-match", tag));
    let stale = lock("\"7\"").await.is(412).problem("version-mismatch");
    assert_eq!(stale.body["room_version"], 1);
    lock("W/\"1\"").await.is(412);
    lock("\"other\"").await.is(412);
    lock("\"9\", \"1\"").await.is(200);
    lock("*").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_cannot_tell_that_anothers_room_exists() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let stranger = signed(&claims("globex", None, Grants::everything()));
    let never = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";
    for path in ["commands/lock-room", "events"] {
        let ask = async |room: &str| {
            let path = format!("/v1/rooms/{room}/{path}");
            let mut answer = match path.ends_with("lock-room") {
                true => Answer::of(service.post(&stranger, &path, &json!({}))).await,
                false => Answer::of(service.get(&stranger, &path)).await,
            };
            answer.body["instance"] = json!(null);
            (answer.status, answer.body)
        };
        let (status, body) = ask(&room).await;
        assert_eq!((status.as_u16(), &body["code"]), (404, &json!("room-not-found")), "{path}");
        assert_eq!((status, body), ask(never).await, "{path}");
    }
    let events = Answer::of(service.get(&stranger, "/v1/events")).await.is(200);
    assert_eq!(events.body["events"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_request_is_part_of_is_kept_with_its_events() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let (cause, whole) = ("01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11", "e5b1c0de-0000-4000-8000-000000000001");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let lock = service.post(&server_token(), &format!("/v1/rooms/{room}/commands/lock-room"), &json!({}));
    let lock = lock.header("convoke-causation-id", cause).header("convoke-correlation-id", whole);
    Answer::of(lock.header("traceparent", trace)).await.is(200);
    let events = Answer::of(service.get(&server_token(), &format!("/v1/rooms/{room}/events?cursor=1"))).await.is(200);
    let event = &events.body["events"][0];
    assert_eq!((&event["causation_id"], &event["correlation_id"]), (&json!(cause), &json!(whole)));
    assert_eq!((&event["traceparent"], &event["actor"]), (&json!(trace), &json!("key:main")));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_the_program_names_room_command_and_position() {
    let service =
        Service::start_with(|run| run.with("CONVOKE_LOG_LEVEL", "debug").with("CONVOKE_LOG_FORMAT", "json")).await;
    let room = service.room(&json!({})).await;
    service.command(&server_token(), &room, "lock-room", &json!({})).await.is(200);
    service.command(&server_token(), &room, "stop-recording", &json!({})).await.is(409);
    let log = service.server.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let lines: Vec<_> = lines.map(|line| line.to_string()).filter(|line| line.contains(&room)).collect();
    let holds = |parts: &[&str]| lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(holds(&["command succeeded", "lock-room", "\"position\":2"]), "{lines:#?}");
    assert!(holds(&["request refused", "stop-recording", "not-recording"]), "{lines:#?}");
}
