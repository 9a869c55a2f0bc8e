//! Activity, usage and attendance as they are read.

use std::path::Path;

use convoke::security::grants::Grants;
use serde_json::{Value, json};

use super::{Answer, Service, claims, operator_token, person, server_token, signed};

/// A morning of the past, moved in: two rooms, one after the other, a stay over midnight, a share over two hours.
const HISTORY: &str = r#"
{"occurred_at": "2020-05-01T22:00:00Z", "room": "late", "command": "create-room", "data": {"name": "late"}}
{"occurred_at": "2020-05-01T22:30:00Z", "room": "late", "command": "join", "data": {"identity": "ann", "role": "speaker"}}
{"occurred_at": "2020-05-01T22:45:00Z", "room": "late", "command": "join", "data": {"identity": "bob", "role": "speaker"}}
{"occurred_at": "2020-05-01T22:50:00Z", "room": "late", "command": "publish-track", "data": {"identity": "ann", "source": "screen"}}
{"occurred_at": "2020-05-01T23:00:00Z", "room": "late", "command": "send-message", "data": {"identity": "bob", "text": "hello"}}
{"occurred_at": "2020-05-01T23:10:00Z", "room": "late", "command": "leave", "data": {"identity": "bob"}}
{"occurred_at": "2020-05-02T00:30:00Z", "room": "late", "command": "leave", "data": {"identity": "ann"}}
{"occurred_at": "2020-05-02T00:40:00Z", "room": "late", "command": "end-room"}
{"occurred_at": "2020-05-01T22:31:00Z", "room": "early", "command": "create-room"}
{"occurred_at": "2020-05-01T22:50:00Z", "room": "early", "command": "join", "data": {"identity": "eve", "role": "speaker"}}
{"occurred_at": "2020-05-01T23:20:00Z", "room": "early", "command": "leave", "data": {"identity": "eve"}}
{"occurred_at": "2020-05-01T23:30:00Z", "room": "early", "command": "end-room"}
"#;

async fn move_in(service: &Service, folder: &Path) -> u64 {
    let file = folder.join("history.ndjson");
    std::fs::write(&file, HISTORY.trim_start()).unwrap();
    let done = service.run.clone().args(["import", "--tenant", "acme", file.to_str().unwrap()]).run().await;
    assert_eq!(done.status, 0, "{done:?}");
    let log = Answer::of(service.get(&operator_token(), "/v1/log")).await.is(200);
    log.body["position"].as_u64().unwrap()
}

async fn read(service: &Service, token: &str, path: &str, at_least: u64) -> Answer {
    let at_least = at_least.to_string();
    Answer::of(service.get(token, path).header("convoke-at-least", at_least)).await
}

/// All of a list, one item at a time.
async fn all(service: &Service, path: &str, list: &str, at_least: u64) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let joint = if path.contains('?') { '&' } else { '?' };
        let page = read(service, &server_token(), &format!("{path}{joint}limit=1{cursor}"), at_least).await.is(200);
        items.extend(page.body[list].as_array().unwrap().iter().cloned());
        let Some(next) = page.body["next_cursor"].as_str() else { return items };
        cursor = format!("&cursor={next}");
    }
}

async fn room_named(service: &Service, name: &str, at_least: u64) -> String {
    let page = read(service, &server_token(), &format!("/v1/rooms?name={name}"), at_least).await.is(200);
    page.body["rooms"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn history_that_was_moved_in_counts_on_its_own_days_and_hours() {
    let service = Service::start().await;
    let folder = crate::harness::folder();
    let end = move_in(&service, &folder).await;
    let days = all(&service, "/v1/usage?from=2020-05-01&until=2020-05-03", "days", end).await;
    let shown: Vec<_> = days.iter().map(|day| (&day["day"], &day["participant_minutes"], &day["complete"])).collect();
    // 90 of ann's, 25 of bob's, 30 of eve's before midnight; 30 of ann's after it.
    let expected =
        [("2020-05-01", 145.0), ("2020-05-02", 30.0), ("2020-05-03", 0.0)].map(|(d, m)| (json!(d), json!(m)));
    assert_eq!(shown, expected.iter().map(|(d, m)| (d, m, &Value::Bool(true))).collect::<Vec<_>>());
    assert_eq!((&days[0]["peak_concurrency"], &days[0]["joins"], &days[0]["open"]), (&json!(3), &json!(3), &json!(1)));
    assert_eq!(days[0]["participant_us"], 145 * 60_000_000u64);

    let late = room_named(&service, "late", end).await;
    let hours = all(&service, &format!("/v1/rooms/{late}/activity"), "hours", end).await;
    let shown: Vec<_> = hours
        .iter()
        .map(|hour| {
            let number = |field: &str| hour[field].as_u64().unwrap();
            let shared = number("screen_shared_us") / 60_000_000;
            (&hour["hour"].as_str().unwrap()[..13], number("joins"), number("peak_present"), number("messages"), shared)
        })
        .collect();
    assert_eq!(shown, [("2020-05-01T22", 2, 2, 0, 10), ("2020-05-01T23", 0, 2, 1, 60), ("2020-05-02T00", 0, 1, 0, 30)]);

    let people = all(&service, &format!("/v1/rooms/{late}/attendance"), "attendees", end).await;
    let shown: Vec<_> =
        people.iter().map(|p| (&p["identity"], p["attended_us"].as_u64().unwrap() / 60_000_000)).collect();
    assert_eq!(shown, [(&json!("ann"), 120), (&json!("bob"), 25)]);
    assert_eq!(people[0]["stays"][0]["left_at"], "2020-05-02T00:30:00.000000Z");
    let bob = all(&service, &format!("/v1/rooms/{late}/attendance?identity=bob"), "attendees", end).await;
    assert_eq!(bob, [people[1].clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_counts_up_to_now_and_is_told_to_those_who_may_know() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    let joined = service.command(&person("bob"), &room, "join", &json!({ "role": "speaker" })).await.is(200);
    let end: u64 = joined.header("convoke-position").parse().unwrap();
    let usage = read(&service, &server_token(), "/v1/usage", end).await.is(200);
    let today = usage.body["days"].as_array().unwrap().last().unwrap();
    assert_eq!((&today["open"], &today["complete"], &today["peak_concurrency"]), (&json!(2), &json!(false), &json!(2)));
    let path = format!("/v1/rooms/{room}/activity");
    let hours = read(&service, &person("bob"), &path, end).await.is(200);
    assert_eq!(hours.body["hours"].as_array().unwrap().last().unwrap()["peak_present"], 2);
    let attendance = format!("/v1/rooms/{room}/attendance");
    let people = read(&service, &person("bob"), &attendance, end).await.is(200);
    assert_eq!(
        (&people.body["attendees"][0]["present"], people.header("convoke-position").is_empty()),
        (&json!(true), false)
    );
    for path in [&path, &attendance] {
        Answer::of(service.get(&person("eve"), path)).await.is(403).problem("forbidden");
        let stranger = signed(&claims("globex", None, Grants::everything()));
        Answer::of(service.get(&stranger, path)).await.is(404).problem("room-not-found");
        Answer::of(service.get(&server_token(), &format!("{path}?cursor=nonsense"))).await.is(400);
        Answer::of(service.get(&server_token(), &format!("{path}?colour=red"))).await.is(400);
    }
    Answer::of(service.get(&person("alice"), "/v1/usage")).await.is(403).problem("forbidden");
    for query in ["?from=yesterday", "?until=2020-05-01T00:00:00Z", "?cursor=AAAA", "?limit=0"] {
        Answer::of(service.get(&server_token(), &format!("/v1/usage{query}"))).await.is(400);
    }
    Answer::of(service.get(&server_token(), &format!("{path}?from=soon"))).await.is(400);
}
