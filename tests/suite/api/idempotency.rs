//! `Idempotency-Key`: a request sent again is answered again, and not done twice.

use serde_json::{Value, json};

use super::{Answer, Service, person, server_token};

async fn create(service: &Service, key: &str, body: &Value) -> Answer {
    Answer::of(service.post(&server_token(), "/v1/rooms", body).header("idempotency-key", key)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_byte_for_byte_also_after_a_crash() {
    let mut service = Service::start().await;
    let first = create(&service, "\"k-1\"", &json!({ "name": "standup" })).await.is(201);
    assert_eq!(first.header("idempotency-replayed"), "");
    let again = create(&service, "k-1", &json!({ "name": "standup" })).await.is(201);
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("idempotency-replayed"), "true");
    for name in ["etag", "location", "convoke-position", "content-type"] {
        assert_eq!(again.header(name), first.header(name));
    }
    service.server.kill();
    service.server = service.run.clone().serve().await;
    let after = create(&service, "\"k-1\"", &json!({ "name": "standup" })).await.is(201);
    assert_eq!(after.text, first.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_another_body_is_refused_and_a_refusal_is_not_kept() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    create(&service, "k", &json!({ "name": "a" })).await.is(201);
    create(&service, "k", &json!({ "name": "b" })).await.is(422).problem("idempotency-key-reused");
    let raise = || {
        let path = format!("/v1/rooms/{room}/commands/raise-hand");
        Answer::of(service.post(&person("alice"), &path, &json!({})).header("idempotency-key", "r"))
    };
    raise().await.is(409).problem("not-present");
    service.join(&room, "alice", "speaker").await;
    raise().await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_its_senders_own() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for identity in ["alice", "bob"] {
        service.join(&room, identity, "speaker").await;
        let path = format!("/v1/rooms/{room}/commands/raise-hand");
        let raise = service.post(&person(identity), &path, &json!({})).header("idempotency-key", "same");
        let raised = Answer::of(raise).await.is(200);
        assert_eq!(raised.body["events"][0]["data"]["identity"], identity);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_under_if_match_is_answered_as_the_first_time() {
    let mut service = Service::start().await;
    let room = service.room(&json!({})).await;
    let lock = async |service: &Service| {
        let path = format!("/v1/rooms/{room}/commands/lock-room");
        let request = service.post(&server_token(), &path, &json!({})).header("idempotency-key", "lock-1");
        Answer::of(request.header("if-match", "\"1\"")).await
    };
    let first = lock(&service).await.is(200);
    assert_eq!(lock(&service).await.is(200).text, first.text);
    service.server.kill();
    service.server = service.run.clone().serve().await;
    assert_eq!(lock(&service).await.is(200).text, first.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_the_same_instant_have_one_outcome() {
    let service = Service::start().await;
    let body = json!({});
    let both = (0..8).map(|_| create(&service, "race", &body));
    let answers = futures_util::future::join_all(both).await;
    let first = &answers[0];
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), &answer.text), (201, &first.text));
    }
}

/// One request is one request, however it is written and wherever it is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_known_by_what_it_says_and_not_by_how_it_is_written() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let track = published(&service, &room).await;
    let upper = room.to_uppercase();
    let in_a_list = |room: &str, command: &str, data: &str| {
        let data = if data.is_empty() { String::new() } else { format!(", \"data\": {data}") };
        (
            "/v1/commands".to_owned(),
            format!(
                "{{\"commands\": [{{\"command\": \"{command}\", \"room\": \"{room}\", \"idempotency_key\": \"KEY\"{data}}}]}}"
            ),
        )
    };
    let alone =
        |room: &str, command: &str, data: &str| (format!("/v1/rooms/{room}/commands/{command}"), data.to_owned());
    let settings = [
        "{\"chat\": \"off\", \"metadata\": {\"b\": [1], \"a\": \"\\u00e9\"}}",
        "{ \"metadata\":{\"a\":\"é\",\"b\":[ 1 ]},\n\"chat\":\"off\"}",
    ];
    let mute = |track: &str| format!("{{\"track\": \"{track}\"}}");
    for (key, ways) in [
        (
            "mute-all",
            vec![
                alone(&upper, "mute-all", ""),
                alone(&room, "mute-all", "{}"),
                alone(&room.replace('-', "%2D"), "mute-all", " { } "),
                in_a_list(&room, "mute-all", ""),
                in_a_list(&upper, "mute-all", "{}"),
            ],
        ),
        (
            "settings",
            vec![
                alone(&room, "update-settings", settings[0]),
                alone(&room, "update-settings", settings[1]),
                in_a_list(&upper, "update-settings", settings[1]),
            ],
        ),
        (
            "track",
            vec![
                alone(&room, "mute-track", &mute(&track)),
                in_a_list(&room, "mute-track", &mute(&track.to_uppercase())),
            ],
        ),
        (
            "ban",
            vec![
                alone(&room, "ban", "{\"identity\": \"eve\", \"ban_s\": 60}"),
                in_a_list(&room, "ban", "{\"ban_s\": 60.0, \"identity\": \"\\u0065ve\"}"),
            ],
        ),
    ] {
        let mut first: Option<Value> = None;
        for (path, body) in ways {
            let request =
                service.server.client.post(format!("{}{path}", service.server.url)).bearer_auth(server_token());
            let request = request.header("content-type", "application/json").body(body.replace("KEY", key));
            let list = path == "/v1/commands";
            let request = if list { request } else { request.header("idempotency-key", key) };
            let answer = Answer::of(request).await.is(200);
            let (result, replayed) = if list {
                let one = &answer.body["results"][0];
                (one["result"].clone(), one["replayed"] == true)
            } else {
                (answer.body.clone(), answer.header("idempotency-replayed") == "true")
            };
            assert_eq!(replayed, first.is_some(), "{path} {body}: {}", answer.text);
            assert_eq!(result, *first.get_or_insert(result.clone()), "{path} {body}");
        }
    }
}

async fn published(service: &Service, room: &str) -> String {
    service.join(room, "alice", "host").await;
    let body = json!({ "identity": "alice", "source": "camera" });
    let published = service.command(&server_token(), room, "publish-track", &body).await.is(200);
    published.body["events"][0]["data"]["track"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_different_senders_and_of_different_kinds_never_meet() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for identity in ["alice", "alice b"] {
        service.join(&room, identity, "speaker").await;
    }
    let path = format!("/v1/rooms/{room}/commands/raise-hand");
    for (identity, key) in
        [("alice", "\"b 1\""), ("alice b", "\"1\""), ("alice", "\"b key 1\""), ("alice b", "\"key 1\"")]
    {
        let raise = service.post(&person(identity), &path, &json!({})).header("idempotency-key", key);
        let raised = Answer::of(raise).await.is(200);
        assert_eq!(raised.header("idempotency-replayed"), "", "{identity} {key}");
    }
    // What a list's key gives its commands is no key that anybody can send.
    let list = json!({ "commands": [
        { "room": room, "command": "lock-room" },
        { "room": room, "command": "unlock-room", "idempotency_key": "z#0" },
        { "room": room, "command": "lock-room", "idempotency_key": "item:0 z" },
    ] });
    for atomic in [false, true] {
        let mut list = list.clone();
        list["atomic"] = json!(atomic);
        let key = if atomic { "y" } else { "z" };
        list["commands"][1]["idempotency_key"] = json!(format!("{key}#0"));
        list["commands"][2]["idempotency_key"] = json!(format!("item:0 {key}"));
        let sent = Answer::of(service.post(&server_token(), "/v1/commands", &list).header("idempotency-key", key))
            .await
            .is(200);
        for result in sent.body["results"].as_array().unwrap() {
            assert_eq!((&result["status"], result.get("replayed")), (&json!(200), None), "{}", sent.text);
        }
    }
    let lock = service.post(&server_token(), &format!("/v1/rooms/{room}/commands/unlock-room"), &json!({}));
    let lock = Answer::of(lock.header("idempotency-key", "\"z\"")).await.is(200);
    assert_eq!(lock.header("idempotency-replayed"), "");
}
