//! What a client accepts and what it has: `Accept`, `If-None-Match`.

use serde_json::json;

use super::{Answer, Service, server_token};

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_in_a_form_that_is_accepted_or_not_at_all() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for (path, accept, form) in [
        ("timeline", "text/*", "text/plain"),
        ("timeline", "application/json;q=0, */*", "text/plain"),
        ("timeline", "*/*", "application/json"),
        ("events", "application/json;q=0, */*", "application/x-ndjson"),
        ("events", "text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("events", "application/*;q=0.1, application/jsonl", "application/x-ndjson"),
        ("participants", "application/*", "application/json"),
    ] {
        let asked = service.get(&server_token(), &format!("/v1/rooms/{room}/{path}")).header("accept", accept);
        let answer = Answer::of(asked).await.is(200);
        assert!(answer.header("content-type").starts_with(form), "{path} {accept}: {:?}", answer.headers);
        assert_eq!(answer.header("vary"), if path == "participants" { "" } else { "accept" }, "{path}");
    }
    let live = service.get(&server_token(), &format!("/v1/rooms/{room}/events")).header("accept", "text/*");
    assert_eq!(live.send().await.unwrap().headers()["content-type"], "text/event-stream");
    for path in
        ["/v1/rooms", "/v1/events", "/v1/usage", &format!("/v1/rooms/{room}"), &format!("/v1/rooms/{room}/sessions")]
    {
        for accept in ["image/png", "application/json;q=0, text/html"] {
            let asked = service.get(&server_token(), path).header("accept", accept);
            Answer::of(asked).await.is(406).problem("not-acceptable");
        }
    }
    let refused = service.get(&server_token(), "/v1/rooms").header("accept", "application/json;q=0, */*");
    Answer::of(refused).await.is(406).problem("not-acceptable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_answer_is_not_accepted_is_not_done() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let list = json!({ "commands": [{ "room": room, "command": "lock-room" }] });
    for (path, body) in [
        (format!("/v1/rooms/{room}/commands/lock-room"), json!({})),
        ("/v1/rooms".to_owned(), json!({})),
        ("/v1/commands/erase-person".to_owned(), json!({ "identity": "alice" })),
        ("/v1/commands".to_owned(), list),
    ] {
        let asked = service.post(&server_token(), &path, &body).header("accept", "text/html");
        Answer::of(asked).await.is(406).problem("not-acceptable");
    }
    for (accept, status) in [("text/html", 406), ("application/json", 200), ("application/x-ndjson", 200)] {
        let asked =
            service.server.client.post(format!("{}/v1/commands", service.server.url)).bearer_auth(server_token());
        let asked = asked.header("content-type", "application/x-ndjson").header("accept", accept).body("");
        Answer::of(asked).await.is(status);
    }
    let events = Answer::of(service.get(&server_token(), "/v1/events")).await.is(200);
    assert_eq!(events.body["events"].as_array().unwrap().len(), 1, "only the room");
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_that_are_none_keep_nobody_from_reading() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let many: String = (1..40).rev().map(|version| format!("\"{version}\", ")).collect();
    for (tags, status) in [
        ("\"1\",", 304),
        ("\"9\",, \"1\"", 304),
        (&*many, 304),
        ("14, \"1\"", 304),
        ("1", 200),
        ("\"1", 200),
        ("", 200),
        ("*", 304),
    ] {
        let asked = service.get(&server_token(), &format!("/v1/rooms/{room}")).header("if-none-match", tags);
        assert_eq!(Answer::of(asked).await.status.as_u16(), status, "{tags}");
    }
    let lock = format!("/v1/rooms/{room}/commands/lock-room");
    for (tags, status) in [("1", 400), ("\"1\", 2", 400), (",", 400), (",\"7\", ,", 412), (&*many, 200)] {
        let asked = service.post(&server_token(), &lock, &json!({})).header("if-match", tags);
        assert_eq!(Answer::of(asked).await.status.as_u16(), status, "{tags}");
    }
}
