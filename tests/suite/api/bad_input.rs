//! What callers send that cannot be: each is told what is wrong, and nothing is done.

use convoke::security::grants::Grants;
use convoke::security::tokens::{NumericDate, mint};
use serde_json::json;

use super::{Answer, Service, claims, server_token, signed};

async fn raw(service: &Service, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = service.server.client.post(format!("{}{path}", service.server.url)).bearer_auth(server_token());
    Answer::of(request.header("content-type", content_type).body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_is_told_with_the_field_at_fault() {
    let service = Service::start().await;
    let deep = format!("{{\"settings\":{{\"metadata\":{}{}}}}}", "[".repeat(90), "]".repeat(90));
    let deeper = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    for (body, status, field) in [
        ("{\"name\": ", 400, None),
        ("{\"name\": \"x\"} trailing", 400, None),
        ("{\"name\": 7}", 422, Some("name")),
        ("{\"nome\": \"x\"}", 422, Some("nome")),
        ("[]", 422, Some("")),
        ("null", 422, Some("")),
        ("{\"settings\": {\"max_participants\": -1}}", 422, Some("settings.max_participants")),
        ("{\"settings\": {\"max_participants\": 1000000}}", 422, Some("settings.max_participants")),
        ("{\"settings\": {\"lobby\": \"closed\"}}", 422, Some("settings.lobby")),
        ("{\"id\": \"not-a-uuid\"}", 422, Some("id")),
        ("{\"name\": \"a\\u0000b\"}", 422, Some("name")),
        ("{\"name\": \"\\ud800\"}", 400, Some("name")),
        ("{\"settings\": {\"labels\": {\"a\": \"1\", \"a\": \"2\"}}}", 422, Some("settings.labels.a")),
        (&deep, 422, None),
        (&deeper, 422, None),
    ] {
        let answer = raw(&service, "/v1/rooms", "application/json", body.to_owned()).await;
        assert_eq!(answer.status.as_u16(), status, "{body:.60}: {}", answer.text);
        let code = if status == 400 { "invalid-json" } else { "invalid-fields" };
        let answer = answer.problem(code);
        if let Some(field) = field {
            assert_eq!(answer.field(), field, "{body:.60}");
        }
    }
    let not_utf8 = raw(&service, "/v1/rooms", "application/json", b"{\"name\": \"\xff\"}".to_vec()).await;
    not_utf8.is(400).problem("invalid-json");
    let events = Answer::of(service.get(&server_token(), "/v1/events")).await.is(200);
    assert_eq!(events.body["events"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_a_query_or_a_header_that_cannot_be_is_named() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for (path, status, code, field) in [
        ("/v1/rooms/standup/events", 400, "invalid-parameters", "room"),
        ("/v1/rooms/8a4bb0a0-0000-4000-8000-000000000000/events", 400, "invalid-parameters", "room"),
        ("/v1/events?limit=0", 400, "invalid-parameters", "limit"),
        ("/v1/events?limt=5", 400, "invalid-parameters", "limt"),
        ("/v1/events?cursor=nonsense", 400, "cursor-malformed", "cursor"),
        ("/v1/events?cursor=00000000-p1", 410, "cursor-of-another-epoch", "cursor"),
        ("/v1/events?since=yesterday", 400, "invalid-parameters", "since"),
        ("/v1/events?at_least=x", 400, "cursor-malformed", "at_least"),
        ("/v1/events?cursor=%00", 400, "invalid-parameters", "cursor"),
        ("/v1/events?cursor=99", 400, "cursor-malformed", "cursor"),
        (&format!("/v1/rooms/{room}/events?cursor=99"), 400, "cursor-malformed", "cursor"),
        (&format!("/v1/rooms/{room}/participants?version=1&cursor=nonsense"), 400, "cursor-malformed", "cursor"),
        (&format!("/v1/rooms/{room}?version=1.5"), 400, "invalid-parameters", "version"),
        (&format!("/v1/rooms/{room}?version=1&at_least=x"), 400, "cursor-malformed", "at_least"),
    ] {
        let answer = Answer::of(service.get(&server_token(), path)).await.is(status).problem(code);
        assert_eq!(answer.field(), field, "{path}");
    }
    let lock = format!("/v1/rooms/{room}/commands/lock-room");
    for (header, value, code) in [
        ("idempotency-key", "a b", "idempotency-key-malformed"),
        ("if-match", "12", "invalid-parameters"),
        ("convoke-causation-id", "x", "invalid-parameters"),
    ] {
        let request = service.post(&server_token(), &lock, &json!({})).header(header, value);
        assert_eq!(Answer::of(request).await.is(400).problem(code).field(), header);
    }
    let ahead = service.get(&server_token(), &format!("/v1/rooms/{room}/events")).header("last-event-id", "99");
    let ahead = Answer::of(ahead.header("accept", "text/event-stream")).await.is(400).problem("cursor-malformed");
    assert_eq!(ahead.field(), "Last-Event-ID");
    let misspelt = service.command(&server_token(), &room, "lock-room?if_match=1", &json!({})).await;
    assert_eq!(misspelt.is(400).problem("invalid-parameters").field(), "if_match");
    let packed = service.post(&server_token(), "/v1/rooms", &json!({})).header("content-encoding", "gzip");
    Answer::of(packed).await.is(415).problem("unsupported-media-type");
    raw(&service, "/v1/rooms", "text/plain", "{}").await.is(415).problem("unsupported-media-type");
    let large = raw(&service, "/v1/rooms", "application/json", "x".repeat(3 << 20)).await;
    let large = large.is(413).problem("payload-too-large");
    assert_eq!(large.header("connection"), "close", "what was not read stands in the way of the next request");
    let fly = service.command(&server_token(), &room, "fly", &json!({})).await;
    fly.is(404).problem("unknown-command");
    let pictures = service.get(&server_token(), "/v1/events").header("accept", "image/png");
    Answer::of(pictures).await.is(406).problem("not-acceptable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_good_is_not_taken() {
    let service = Service::start().await;
    let good = claims("acme", None, Grants::everything());
    let past = convoke::events::time::Clock::system().now().plus_seconds(-10);
    let expired = signed(&convoke::security::tokens::Claims { exp: Some(NumericDate::at(past)), ..good.clone() });
    let forged = mint("main", b"another-secret-that-is-long-enough-to-sign-with", &good);
    let unsigned = "eyJhbGciOiJub25lIiwia2lkIjoibWFpbiJ9.eyJ0ZW5hbnQiOiJhY21lIiwiZXhwIjo5OTk5OTk5OTk5fQ.";
    for (token, code) in [
        (expired.as_str(), "token-expired"),
        (forged.as_str(), "token-invalid"),
        (unsigned, "token-invalid"),
        ("garbage", "token-invalid"),
    ] {
        let answer = Answer::of(service.get(token, "/v1/events")).await.is(401).problem(code);
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    let bare = service.server.get("/v1/events").await;
    assert_eq!(bare.status().as_u16(), 401);
    let weak = signed(&claims("acme", None, Grants::default()));
    Answer::of(service.get(&weak, "/v1/events")).await.is(403).problem("forbidden");
}
