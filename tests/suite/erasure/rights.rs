//! Who may have a person erased, and what is said to who may not or asks wrongly.

use convoke::events::room::Role;
use convoke::security::grants::Grants;
use serde_json::{Value, json};

use super::{erase, written};
use crate::api::{Answer, Service, claims, operator_token, person, server_token, signed};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// The names that a server sees of who is in the room.
async fn names(service: &Service, room: &str, position: &str) -> Vec<Value> {
    let path = format!("/v1/rooms/{room}/participants");
    let read = service.get(&server_token(), &path).header("convoke-at-least", position);
    let people = Answer::of(read).await.is(200);
    people.body["participants"].as_array().unwrap().iter().map(|one| one["personal"]["display_name"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_host_nor_the_person_nor_another_tenant_erases_anybody() {
    let service = Service::start().await;
    let room = service.room(&json!({ "name": "standup" })).await;
    service.join(&room, "hanna", "host").await;
    service.join(&room, "alice", "speaker").await;
    let all_but_admin = Grants { room_admin: false, ..Grants::everything() };
    let of_one_room = |room: &str| Grants { room: Some(room.into()), ..Grants::everything() };
    for token in [
        person("hanna"),
        person("alice"),
        signed(&claims("acme", Some("hanna"), all_but_admin.clone())),
        signed(&claims("acme", None, Grants { room_join: false, ..all_but_admin })),
        signed(&claims("acme", None, of_one_room("standup"))),
        signed(&claims("acme", None, of_one_room(&room))),
        signed(&claims("acme", None, of_one_room(NIL))),
    ] {
        erase(&service, &token, "alice").await.is(403).problem("not-granted");
    }
    Answer::of(service.post("no token", "/v1/commands/erase-person", &json!({ "identity": "alice" }))).await.is(401);
    let stranger = signed(&claims("globex", None, Grants::everything()));
    let elsewhere = erase(&service, &stranger, "alice").await.is(200);
    assert_eq!(written(&elsewhere), 0, "their own alice, of whom they have nothing: {}", elsewhere.text);
    let head = Answer::of(service.get(&operator_token(), "/v1/log")).await.is(200);
    let head = head.header("convoke-position");
    assert_eq!(names(&service, &room, head).await, ["The alice", "The hanna"], "nobody was erased");

    let admin = Grants { room_admin: true, role: Role::Viewer, ..Grants::default() };
    let erased = erase(&service, &signed(&claims("acme", Some("adam"), admin)), "alice").await.is(200);
    assert_eq!(names(&service, &room, erased.header("convoke-position")).await, [Value::Null, json!("The hanna")]);
    let events = Answer::of(service.get(&server_token(), "/v1/events")).await.is(200);
    let event = events.body["events"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&event["type"], &event["actor"], &event["room"]),
        (&json!("person.erased"), &json!("user:adam"), &json!(NIL))
    );
    assert_eq!((&event["room_version"], &event["data"]), (&json!(1), &json!({ "identity": "alice" })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenants_own_events_are_no_room() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    erase(&service, &server_token(), "alice").await.is(200);
    for read in [
        "",
        "?version=1",
        "/participants",
        "/waiting",
        "/messages",
        "/sessions",
        "/attendance",
        "/activity",
        "/events",
        "/timeline",
    ] {
        let path = format!("/v1/rooms/{NIL}{read}");
        Answer::of(service.get(&server_token(), &path)).await.is(404).problem("room-not-found");
    }
    service.command(&server_token(), NIL, "lock-room", &json!({})).await.is(404).problem("room-not-found");
    service.command(&server_token(), NIL, "create-room", &json!({})).await.is(404).problem("room-not-found");
    let wanted = Answer::of(service.post(&server_token(), "/v1/rooms", &json!({ "id": NIL }))).await.is(422);
    assert_eq!(wanted.field(), "id");
    let listed = Answer::of(service.get(&server_token(), "/v1/rooms")).await.is(200);
    assert!(!listed.text.contains(NIL), "{}", listed.text);
    service.command(&server_token(), &room, "erase-person", &json!({ "identity": "alice" })).await.is(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_a_command_like_any_other() {
    let mut service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    service.join(&room, "bob", "speaker").await;
    let path = "/v1/commands/erase-person";
    let keyed = async |service: &Service, who: &str| {
        let post = service.post(&server_token(), path, &json!({ "identity": who }));
        Answer::of(post.header("idempotency-key", "once")).await
    };
    let first = keyed(&service, "alice").await.is(200);
    assert_eq!((written(&first), first.header("etag")), (1, "\"1\""));
    assert_eq!(keyed(&service, "alice").await.is(200).text, first.text);
    keyed(&service, "bob").await.is(422).problem("idempotency-key-reused");
    service.server.kill();
    service.server = service.run.clone().serve().await;
    let again = keyed(&service, "alice").await.is(200);
    assert_eq!((again.text.as_str(), again.header("idempotency-replayed")), (first.text.as_str(), "true"));

    let repeated = erase(&service, &server_token(), "alice").await.is(200);
    assert_eq!((written(&repeated), &repeated.body["room_version"]), (0, &json!(1)), "it is so already");
    let late = service.post(&server_token(), path, &json!({ "identity": "bob" })).header("if-match", "\"7\"");
    Answer::of(late).await.is(412).problem("version-mismatch");
    for body in [json!({}), json!({ "identity": "" }), json!({ "identity": "a", "more": 1 })] {
        Answer::of(service.post(&server_token(), path, &body)).await.is(422).problem("invalid-fields");
    }
    let unknown = Answer::of(service.post(&server_token(), "/v1/commands/lock-room", &json!({}))).await.is(404);
    unknown.problem("unknown-command");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_goes_in_lists_of_commands_and_what_follows_it_is_written_anew() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    let misplaced =
        json!({ "commands": [{ "room": room, "command": "erase-person", "data": { "identity": "alice" } }] });
    let told = Answer::of(service.post(&server_token(), "/v1/commands", &misplaced)).await.is(200);
    assert_eq!(told.body["results"][0]["problem"]["errors"][0]["field"], "commands[0].room", "{}", told.text);

    let rename =
        json!({ "room": room, "command": "rename", "data": { "identity": "alice", "display_name": "Alice anew" } });
    let erasure = json!({ "command": "erase-person", "data": { "identity": "alice" } });
    let both = json!({ "atomic": true, "commands": [erasure, rename] });
    let done = Answer::of(service.post(&server_token(), "/v1/commands", &both)).await.is(200);
    let results = done.body["results"].as_array().unwrap();
    assert_eq!(results[0]["result"]["events"][0]["type"], "person.erased", "{}", done.text);
    let position = results[1]["result"]["position"].to_string();
    assert_eq!(names(&service, &room, &position).await, [Value::Null], "an atomic list erases of itself too");

    let one =
        service.command(&person("alice"), &room, "rename", &json!({ "display_name": "Alice anew" })).await.is(200);
    assert_eq!(names(&service, &room, one.header("convoke-position")).await, ["Alice anew"], "under a new key");
    // An erasure and names that are written at the same time: whatever their order, a name that follows an answered erasure
    // is read.
    for turn in 0..20 {
        let (server, alice) = (server_token(), person("alice"));
        let named = json!({ "display_name": format!("Alice of turn {turn}") });
        tokio::join!(erase(&service, &server, "alice"), service.command(&alice, &room, "rename", &named));
        let name = format!("Alice behind turn {turn}");
        let one = service.command(&person("alice"), &room, "rename", &json!({ "display_name": name })).await.is(200);
        assert_eq!(names(&service, &room, one.header("convoke-position")).await, [name]);
    }
}
