//! Lines and times as some programs write them.

use serde_json::{Value, json};

use super::{Answer, Service, server_token};

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_is_no_part_of_a_line_of_commands() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let line = |command: &str| format!("\u{feff}{{\"room\":\"{room}\",\"command\":\"{command}\"}}\n");
    // At the beginning, and where two texts were laid end to end.
    let body = line("lock-room") + &line("unlock-room") + "\u{feff}";
    let request = service.server.client.post(format!("{}/v1/commands", service.server.url)).bearer_auth(server_token());
    let answer = Answer::of(request.header("content-type", "application/x-ndjson").body(body)).await.is(200);
    let results: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<&Value> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [200, 200], "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_there_is_not_is_refused() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for (at, status) in [
        ("2126-01-01T16:00:59Z", 200),
        ("2126-01-31T23:59:60Z", 200),
        ("2126-01-01T16:00:60Z", 400),
        ("2126-01-01T16:00:59%E2%88%9205:00", 400),
    ] {
        let path = format!("/v1/rooms/{room}?at={at}");
        let answer = Answer::of(service.get(&server_token(), &path)).await;
        assert_eq!(answer.status.as_u16(), status, "{at}: {}", answer.text);
    }
}
