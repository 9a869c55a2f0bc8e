//! Many commands at once, as a list or as lines.

use convoke::security::grants::Grants;
use convoke::security::tokens::{Claims, NumericDate};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::{Answer, Service, claims, person, server_token, signed};

async fn send(service: &Service, body: &Value) -> Answer {
    Answer::of(service.post(&server_token(), "/v1/commands", body)).await
}

async fn lines(service: &Service, lines: &str) -> Vec<Value> {
    let request = service.server.client.post(format!("{}/v1/commands", service.server.url)).bearer_auth(server_token());
    let request = request.header("content-type", "application/x-ndjson").body(lines.to_owned());
    let answer = Answer::of(request).await.is(200);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn statuses(results: &[Value]) -> Vec<u64> {
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_command_of_a_list_is_judged_by_itself_in_order() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let answer = send(
        &service,
        &json!({ "commands": [
        { "command": "create-room", "data": { "name": "standup" } },
        { "room": room, "command": "lock-room" },
        { "room": room, "command": "raise-hand", "data": { "identity": "nobody" } },
        { "room": room, "command": "fly" },
        { "room": room, "command": "unlock-room", "expected_version": 2 },
        { "room": "standup", "command": "lock-room" },
        { "command": "lock-room" },
        { "room": room, "command": "join", "data": { "rol": 1 } },
    ] }),
    )
    .await
    .is(200);
    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(statuses(results), [201, 200, 409, 404, 200, 422, 422, 422]);
    assert_eq!(results[1]["result"]["events"][0]["type"], "room.locked");
    assert_eq!(results[5]["problem"]["errors"][0]["field"], "commands[5].room");
    assert_eq!(results[7]["problem"]["errors"][0]["field"], "commands[7].data.rol");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_atomic_list_is_done_whole_or_not_at_all() {
    let service = Service::start().await;
    let (first, second) = (service.room(&json!({})).await, service.room(&json!({})).await);
    let list = |last: &str| {
        json!({ "atomic": true, "commands": [
            { "room": first, "command": "lock-room" },
            { "room": second, "command": "lock-room" },
            { "room": second, "command": last, "data": {} },
        ] })
    };
    let refused = send(&service, &list("stop-recording")).await.is(409).problem("not-recording");
    assert_eq!(refused.body["command_index"], 2);
    let events = Answer::of(service.get(&server_token(), "/v1/events")).await;
    assert_eq!(events.body["events"].as_array().unwrap().len(), 2, "only the rooms");
    let done = send(&service, &list("start-recording")).await.is(200);
    assert_eq!(statuses(done.body["results"].as_array().unwrap()), [200, 200, 200]);
    let unknown = send(&service, &list("fly")).await.is(404).problem("unknown-command");
    assert_eq!(unknown.body["command_index"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_sent_again_under_its_key_is_done_once() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let list = json!({ "commands": [
        { "room": room, "command": "join", "data": { "identity": "alice" } },
        { "room": room, "command": "raise-hand", "data": { "identity": "bob" } },
        { "room": room, "command": "join", "data": { "identity": "bob" }, "idempotency_key": "own" },
    ] });
    let ask = || Answer::of(service.post(&server_token(), "/v1/commands", &list).header("idempotency-key", "list-1"));
    let first = ask().await.is(200);
    assert_eq!(statuses(first.body["results"].as_array().unwrap()), [200, 409, 200]);
    let again = ask().await.is(200);
    // What was refused is judged anew: bob is there by now.
    assert_eq!(statuses(again.body["results"].as_array().unwrap()), [200, 200, 200]);
    assert_eq!(again.body["results"][0]["result"], first.body["results"][0]["result"]);
    assert_eq!(
        (&again.body["results"][0]["replayed"], &again.body["results"][2]["replayed"]),
        (&json!(true), &json!(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_answered_line_by_line_in_order() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let mut text = String::new();
    for number in 0..600 {
        let (command, identity) = if number % 2 == 0 { ("join", "alice") } else { ("leave", "alice") };
        let line = json!({ "room": room, "command": command, "data": { "identity": identity } });
        text.push_str(&format!("{line}\n"));
    }
    let results = lines(&service, &text).await;
    assert_eq!(results.len(), 600);
    let versions: Vec<u64> = results.iter().map(|result| result["result"]["room_version"].as_u64().unwrap()).collect();
    assert_eq!(versions, (2..=601).collect::<Vec<_>>(), "in order, each upon the one before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_at_fault_is_told_and_the_others_are_done() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let good = json!({ "room": room, "command": "join", "data": { "identity": "alice" } });
    let text = format!(
        "{good}\n\nnot json\n{{\"room\": 7}}\n{{\"room\": \"{room}\", \"command\": \"join\", \"data\": {{\"identity\": \"a\\u0000\"}}}}\n{good}"
    );
    let results = lines(&service, &text).await;
    assert_eq!(statuses(&results), [200, 400, 422, 422, 200]);
    assert_eq!(results[3]["problem"]["errors"][0]["field"], "data.identity");
    let named = "{\"command\": \"create-room\", \"data\": {\"name\": \"x\"}}\n";
    assert_eq!(statuses(&lines(&service, &named.repeat(3)).await), [201, 409, 409]);
    let long = format!("{{\"command\": \"{}\"}}\n", "x".repeat(3 << 20));
    let refused = lines(&service, &long).await;
    assert_eq!(refused[0]["problem"]["code"], "payload-too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_body_that_breaks_off_is_told_what_was_not_read() {
    let service = Service::start().await;
    let line = "{\"command\": \"create-room\"}\n";
    let head = format!(
        "POST /v1/commands HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/x-ndjson\r\n\
         transfer-encoding: chunked\r\n\r\n",
        server_token()
    );
    let mut stream = TcpStream::connect(service.server.url.strip_prefix("http://").unwrap()).await.unwrap();
    let broken = format!("{head}{:x}\r\n{line}\r\nno chunk\r\n{line}", line.len());
    stream.write_all(broken.as_bytes()).await.unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).await.unwrap();
    let results: Vec<Value> = told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let results: Vec<Value> = results.into_iter().filter(Value::is_object).collect();
    assert_eq!(statuses(&results), [201, 400], "{told}");
    assert_eq!(results[1]["problem"]["code"], "malformed-request");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_line_is_taken_that_comes_after_the_end_of_its_token() {
    let service = Service::start().await;
    let soon = convoke::events::time::Clock::system().now().plus_seconds(3);
    let short = claims("acme", None, Grants::everything());
    let short = signed(&Claims { exp: Some(NumericDate::at(soon)), ..short });
    let (send, lines) = mpsc::channel::<String>(1);
    let body =
        stream::unfold(lines, |mut lines| async move { Some((Ok::<_, std::io::Error>(lines.recv().await?), lines)) });
    let request = service.server.client.post(format!("{}/v1/commands", service.server.url)).bearer_auth(&short);
    let request = request.header("content-type", "application/x-ndjson").body(reqwest::Body::wrap_stream(body));
    let answer = tokio::spawn(Answer::of(request));
    send.send("{\"command\": \"create-room\"}\n".to_owned()).await.unwrap();
    crate::harness::eventually("the token has expired", std::time::Duration::from_secs(20), async || {
        let now = Answer::of(service.get(&short, "/v1/rooms")).await;
        (now.status.as_u16() == 401).then_some(())
    })
    .await;
    send.send("{\"command\": \"create-room\"}\n".to_owned()).await.unwrap();
    drop(send);
    let answer = answer.await.unwrap().is(200);
    let results: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(statuses(&results), [201, 401]);
    assert_eq!(results[1]["problem"]["code"], "token-expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_is_refused_whole() {
    let service = Service::start().await;
    let many: Vec<Value> = (0..1001).map(|_| json!({ "command": "create-room" })).collect();
    for (body, field) in [
        (json!({ "commands": [] }), "commands"),
        (json!({ "commands": many }), "commands"),
        (json!({}), "commands"),
        (json!({ "commands": [{}], "atomc": true }), "atomc"),
        (json!({ "commands": "all" }), "commands"),
    ] {
        let refused = send(&service, &body).await.is(422).problem("invalid-fields");
        assert!(refused.field().contains(field), "{}", refused.text);
    }
    let matched =
        service.post(&person("alice"), "/v1/commands", &json!({ "commands": [] })).header("if-match", "\"1\"");
    Answer::of(matched).await.is(400);
}
