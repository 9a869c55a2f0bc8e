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
