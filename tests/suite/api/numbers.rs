//! Numbers: a caller's own JSON keeps them as they were written, through everything that it passes; integers are taken however
//! they are written.

use std::time::Duration;

use convoke::security::grants::Grants;
use serde_json::{Value, json};

use super::streams::Reader;
use super::{Answer, Service, person, server_token};
use crate::harness::{TestDb, eventually, folder};
use crate::import::import;

/// In the one form that JSON is kept in: nothing else about it changes either.
const EXACT: &str = "{\"n\":[12345678901234567890123,-9223372036854775809,12345678901234567.89,1E+2,0.10,-0,1.0]}";

async fn raw(service: &Service, token: &str, path: &str, body: &str) -> Answer {
    let request = service.server.client.post(format!("{}{path}", service.server.url)).bearer_auth(token);
    Answer::of(request.header("content-type", "application/json").body(body.to_owned())).await
}

async fn read(service: &Service, path: &str) -> String {
    Answer::of(service.get(&server_token(), path)).await.is(200).text
}

#[track_caller]
fn has(count: usize, text: &str, what: &str) {
    assert_eq!(text.matches(EXACT).count(), count, "{what}: {text:.2000}");
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_of_a_callers_own_json_stay_as_they_were_written_wherever_they_are_read() {
    let service = Service::start_with(|run| run.with("CONVOKE_LOG_SNAPSHOT_INTERVAL", "10")).await;
    let create = format!("{{\"settings\": {{\"metadata\": {} }} }}", EXACT.replace(',', " , "));
    let created = raw(&service, &server_token(), "/v1/rooms", &create).await.is(201);
    has(1, &created.text, "the answer to a command");
    let room = created.body["room"].as_str().unwrap();
    let path = format!("/v1/rooms/{room}");
    let join = format!("{{\"metadata\": {EXACT}}}");
    raw(&service, &person("alice"), &format!("{path}/commands/join"), &join).await.is(200);
    raw(&service, &person("bob"), &format!("{path}/commands/join"), "{}").await.is(200);
    raw(&service, &person("bob"), &format!("{path}/commands/set-participant-metadata"), &join).await.is(200);
    let same = raw(&service, &server_token(), &format!("{path}/commands/update-settings"), &join).await.is(200);
    assert_eq!(same.body["events"], json!([]), "it is so already");
    let last = raw(&service, &server_token(), &format!("{path}/commands/lock-room"), "{}").await.is(200);
    let at_least = format!("at_least={}", last.body["position"]);

    for (count, read_at) in [
        (1, format!("{path}?{at_least}")),
        (1, format!("{path}?version=1")),
        (1, format!("/v1/rooms?{at_least}")),
        (2, format!("{path}/participants?{at_least}")),
        (2, format!("{path}/participants?version=5")),
        (3, format!("{path}/events?{at_least}")),
        (3, "/v1/events".to_owned()),
    ] {
        has(count, &read(&service, &read_at).await, &read_at);
        has(count, &read(&service, &read_at).await, &format!("{read_at}, out of a cache"));
    }
    let lines = service.get(&server_token(), "/v1/events").header("accept", "application/x-ndjson");
    has(3, &Answer::of(lines).await.is(200).text, "lines of events");
    let mut live = Reader::open(&service, &server_token(), &format!("{path}/events?cursor=start"), None).await;
    assert!(live.raw_event().await.unwrap().contains(EXACT), "a live stream");
    let exported = service.run.clone().args(["export", "--tenant", "acme", "--open"]).run().await;
    has(3, &exported.stdout, "an export");

    // From snapshots, from the log, and in rows of a read model as a fresh fold makes them.
    for number in 0..12 {
        let command = if number % 2 == 0 { "unlock-room" } else { "lock-room" };
        raw(&service, &server_token(), &format!("{path}/commands/{command}"), "{}").await.is(200);
    }
    let mut service = service;
    service.server.kill();
    service.server = service.run.clone().serve().await;
    has(1, &read(&service, &format!("{path}?version=14")).await, "out of a snapshot");
    let again = raw(&service, &server_token(), &format!("{path}/commands/update-settings"), &join).await.is(200);
    assert_eq!(again.body["events"], json!([]), "a state that was loaded has the same");
    let verified = service.run.clone().args(["projection", "verify", "rooms"]).run().await;
    assert_eq!(verified.status, 0, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_programs_cannot_read_is_refused_by_its_field() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for number in ["1E-400", "1e999", "-1e400"] {
        let create = format!("{{\"settings\": {{\"metadata\": {{\"n\": [0, {number}]}}}}}}");
        let refused = raw(&service, &server_token(), "/v1/rooms", &create).await.is(422).problem("invalid-fields");
        assert_eq!(refused.field(), "settings.metadata.n[1]", "{number}");
        let join = format!("{{\"metadata\": {number}}}");
        let path = format!("/v1/rooms/{room}/commands/join");
        let refused = raw(&service, &person("alice"), &path, &join).await.is(422).problem("invalid-fields");
        assert_eq!(refused.field(), "metadata", "{number}");
        let list = format!("{{\"commands\": [{{\"command\": \"create-room\", \"data\": {create}}}]}}");
        let refused = raw(&service, &server_token(), "/v1/commands", &list).await.is(422).problem("invalid-fields");
        assert_eq!(refused.field(), "commands[0].data.settings.metadata.n[1]", "{number}");
    }
}

#[tokio::test]
async fn an_import_keeps_numbers_and_takes_what_the_api_takes() {
    let (db, folder) = (TestDb::new().await, folder());
    let line = |room: &str, data: &str| {
        format!(
            "{{\"occurred_at\":\"2012-01-01T00:00:00Z\",\"room\":\"{room}\",\"command\":\"create-room\",\"data\":{data}}}\n"
        )
    };
    let lines = [
        line("exact", &format!("{{\"settings\":{{\"metadata\":{EXACT}}}}}")),
        line("integer", "{\"settings\":{\"max_participants\":5.0}}"),
        line("small", "{\"settings\":{\"metadata\":1E-400}}"),
        line("twice", "{\"settings\":{\"metadata\":{\"a\":1,\"a\":2}}}"),
        line("settings twice", "{\"settings\":{},\"settings\":{}}"),
        line("deep", &format!("{{\"settings\":{{\"metadata\":{}{}}}}}", "[".repeat(70), "]".repeat(70))),
        line("nul", "{\"settings\":{\"metadata\":\"\\u0000\"}}"),
        line("half", "{\"settings\":{\"metadata\":\"\\ud800\"}}"),
        line("label", "{\"settings\":{\"labels\":{\"a:b\":\"c\"}}}"),
    ];
    let file = folder.join("numbers.ndjson");
    std::fs::write(&file, lines.concat()).unwrap();
    let ended = import(&db, &file).run().await;
    // Whole kinds of lines were refused.
    assert_eq!(ended.status, 3, "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["applied"], &report["refused"]["invalid-fields"]["lines"]), (&json!(2), &json!(6)), "{report}");
    assert_eq!(report["refused"]["invalid-json"]["lines"], 1, "{report}");
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT data::text FROM convoke.log ORDER BY position").fetch_all(&db.system).await.unwrap();
    assert!(stored[0].contains(EXACT), "{stored:?}");
    assert!(stored[1].contains("\"max_participants\":5,"), "{stored:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integer_is_taken_however_it_is_written_and_a_fraction_is_not() {
    let service = Service::start().await;
    let created =
        raw(&service, &server_token(), "/v1/rooms", "{\"settings\": {\"max_participants\": 5.0}}").await.is(201);
    let room = created.body["room"].as_str().unwrap();
    assert_eq!(created.body["events"][0]["data"]["settings"]["max_participants"], 5);
    let settings = "{\"empty_timeout_s\": 6e1, \"departure_timeout_s\": 30.0, \"max_duration_s\": 3600.0, \"max_participants\": null}";
    let path = format!("/v1/rooms/{room}/commands");
    let changed = raw(&service, &server_token(), &format!("{path}/update-settings"), settings).await.is(200);
    let changed = &changed.body["events"][0]["data"]["changed"];
    assert_eq!(
        *changed,
        json!({ "empty_timeout_s": 60, "departure_timeout_s": 30, "max_duration_s": 3600, "max_participants": null })
    );
    let list =
        format!("{{\"commands\": [{{\"room\": \"{room}\", \"command\": \"lock-room\", \"expected_version\": 2.0}}]}}");
    let locked = raw(&service, &server_token(), "/v1/commands", &list).await.is(200);
    assert_eq!(locked.body["results"][0]["status"], 200, "{}", locked.text);
    for fraction in ["5.5", "1e-1", "\"5\"", "-1", "4294967297.0"] {
        let body = format!("{{\"max_participants\": {fraction}}}");
        let refused = raw(&service, &server_token(), &format!("{path}/update-settings"), &body).await.is(422);
        assert_eq!(refused.problem("invalid-fields").field(), "max_participants", "{fraction}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_label_is_one_that_lists_find() {
    let service = Service::start().await;
    let labelled = |key: &str| json!({ "settings": { "labels": { key: "a:b c" } } });
    for key in ["a:b", "", "a b", "é"] {
        let refused = Answer::of(service.post(&server_token(), "/v1/rooms", &labelled(key))).await.is(422);
        assert_eq!(refused.problem("invalid-fields").field(), format!("settings.labels.{key}"));
    }
    let key = "app.kubernetes.io/part-of_1";
    let created = Answer::of(service.post(&server_token(), "/v1/rooms", &labelled(key))).await.is(201);
    eventually("the list finds it", Duration::from_secs(20), async || {
        let listed = Answer::of(service.get(&server_token(), &format!("/v1/rooms?label={key}:a:b%20c"))).await.is(200);
        (listed.body["rooms"][0]["id"] == created.body["room"]).then_some(())
    })
    .await;
}

/// A struct is read from an object and from nothing else, wherever it lies.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_place_of_an_object_is_refused() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let body = |path: &str, body: Value| {
        let (service, path) = (&service, path.to_owned());
        async move { Answer::of(service.post(&server_token(), &path, &body)).await }
    };
    for (path, list) in [
        ("/v1/commands", json!([false, [{ "room": room, "command": "lock-room" }]])),
        ("/v1/commands", json!({ "commands": [[room, "lock-room"]] })),
        ("/v1/commands", json!([true, [[room, "lock-room", {}]]])),
        ("/v1/rooms", json!({ "settings": [5] })),
        ("/v1/rooms", json!({ "settings": { "publish": [["host"], ["host"], ["host"]] } })),
        (&format!("/v1/rooms/{room}/commands/update-settings"), json!([5])),
        ("/v1/commands/erase-person", json!(["alice"])),
    ] {
        let told = body(path, list.clone()).await;
        let problem = if told.status == 200 { &told.body["results"][0]["problem"] } else { &told.body };
        assert_eq!(problem["code"], "invalid-fields", "{list}: {}", told.text);
        assert!(problem["detail"].as_str().unwrap().contains("object"), "{list}: {}", told.text);
    }
    let lines = service.server.client.post(format!("{}/v1/commands", service.server.url)).bearer_auth(server_token());
    let lines = lines.header("content-type", "application/x-ndjson").body(format!("[\"{room}\", \"lock-room\"]\n"));
    assert_eq!(Answer::of(lines).await.is(200).body["problem"]["code"], "invalid-fields");
    let events = Answer::of(service.get(&server_token(), "/v1/events")).await.is(200);
    assert_eq!(events.body["events"].as_array().unwrap().len(), 1, "only the room");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_in_words_of_the_domain() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let command = |name: &str| format!("/v1/rooms/{room}/commands/{name}");
    for (path, body, detail) in [
        (
            "/v1/rooms".to_owned(),
            json!({ "settings": { "max_participants": "many" } }),
            "settings.max_participants: is the text \"many\"; a whole number is wanted",
        ),
        ("/v1/rooms".to_owned(), json!({ "settings": 7 }), "settings: is 7; an object is wanted"),
        (
            "/v1/rooms".to_owned(),
            json!({ "settings": { "lobby": "closed" } }),
            "settings.lobby: is \"closed\", which is none of `off`, `guests`, `everyone`",
        ),
        (command("join"), json!({ "role": 7 }), "role: has a form that is not taken here"),
        (
            command("send-message"),
            json!({ "text": "a", "to": { "identities": "bob" } }),
            "to.identities: is the text \"bob\"; a list is wanted",
        ),
        (command("send-message"), json!({}), "text: is missing"),
        (command("raise-hand"), json!({ "who": 1 }), "who: is not a field here; there is `identity`"),
        ("/v1/commands".to_owned(), json!({ "commands": 7 }), "commands: is 7; a list is wanted"),
    ] {
        let refused = Answer::of(service.post(&server_token(), &path, &body)).await.is(422);
        assert_eq!(refused.body["detail"], detail, "{body}");
    }
    let odd =
        super::signed(&super::claims("acme", Some("alice is here"), Grants { room_join: true, ..Grants::default() }));
    let absent = service.command(&odd, &room, "raise-hand", &json!({})).await.is(409).problem("not-present");
    assert_eq!(absent.body["detail"], "\"alice is here\" is not in the room");
    let outside = Answer::of(service.get(&odd, &format!("/v1/rooms/{room}/messages"))).await.is(403);
    assert_eq!(outside.body["detail"], "\"alice is here\" is not in the room: join first.");
}
