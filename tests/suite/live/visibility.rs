//! Who sees what, the same in every way to read.

use convoke::security::grants::Grants;
use serde_json::{Value, json};

use super::{get, say};
use crate::api::streams::Reader;
use crate::api::{Answer, Service, claims, person, server_token, signed};
use crate::harness::Server;

/// A small generator: the same seed gives the same history (Steele et al., SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn one_of<'a>(&mut self, names: &[&'a str]) -> &'a str {
        names[usize::try_from(self.below(names.len() as u64)).unwrap()]
    }
}

const PEOPLE: [&str; 5] = ["ann", "bob", "cat", "dan", "eve"];

/// A command that may be refused.
fn command(dice: &mut Dice, messages: &[(String, u64)]) -> (&'static str, Value) {
    let who = dice.one_of(&PEOPLE);
    let message = |dice: &mut Dice| messages.get(usize::try_from(dice.below(1 + messages.len() as u64)).unwrap());
    match dice.below(10) {
        0 | 1 => ("join", json!({ "identity": who, "display_name": format!("The {who}"), "metadata": { "of": who } })),
        2 => ("leave", json!({ "identity": who })),
        3 => {
            let to = [json!("everyone"), json!("staff"), json!({ "identities": [dice.one_of(&PEOPLE)] })];
            let to = &to[usize::try_from(dice.below(3)).unwrap()];
            ("send-message", json!({ "identity": who, "text": format!("secret of {who}"), "to": to }))
        }
        4 | 5 => match message(dice) {
            Some((author, version)) => {
                ("edit-message", json!({ "identity": author, "message": version, "text": format!("new of {author}") }))
            }
            None => ("lower-all-hands", json!({})),
        },
        6 => match message(dice) {
            Some((author, version)) => ("delete-message", json!({ "identity": author, "message": version })),
            None => ("raise-hand", json!({ "identity": who })),
        },
        7 => ("deny", json!({ "identity": who })),
        8 => ("admit", json!({ "identity": who })),
        _ => ("change-role", json!({ "identity": who, "role": dice.one_of(&["moderator", "speaker"]) })),
    }
}

async fn pages(node: &Server, token: &str, room: &str, limit: usize) -> Vec<Value> {
    let (mut events, mut cursor) = (Vec::new(), "start".to_owned());
    loop {
        let page =
            get(node, token, &format!("/v1/rooms/{room}/events?limit={limit}&cursor={cursor}")).await.is(200).body;
        events.extend(page["events"].as_array().unwrap().iter().cloned());
        cursor = page["next_cursor"].as_str().unwrap().to_owned();
        if page["has_more"] == false {
            return events;
        }
    }
}

async fn lines(service: &Service, token: &str, room: &str) -> Vec<Value> {
    let request = service.get(token, &format!("/v1/rooms/{room}/events")).header("accept", "application/x-ndjson");
    let answer = Answer::of(request).await.is(200);
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn streamed(service: &Service, token: &str, room: &str, count: usize) -> Vec<Value> {
    let mut reader = Reader::open(service, token, &format!("/v1/rooms/{room}/events?cursor=start"), None).await;
    let mut events = Vec::new();
    while events.len() < count {
        events.push(reader.event().await.unwrap().data);
    }
    events
}

/// What nobody but `room_admin` may find in what they read.
fn is_secret(event: &Value, admin: bool) -> bool {
    let superseded = event["edited"] == true || event["deleted"] == true;
    !admin && superseded && event.get("personal").is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_viewer_sees_the_same_in_every_way_to_read() {
    let service = Service::start().await;
    let server = server_token();
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let room = service.room(&json!({ "settings": { "lobby": "everyone" } })).await;
        service.command(&server, &room, "join", &json!({ "identity": "host", "role": "host" })).await.is(200);
        service.command(&server, &room, "join", &json!({ "identity": "guest", "role": "viewer" })).await.is(200);
        let mut messages = Vec::new();
        for _ in 0..150 {
            let (command, data) = command(&mut dice, &messages);
            let answer = service.command(&server, &room, command, &data).await;
            if command == "send-message" && answer.status == 200 {
                messages.push((
                    data["identity"].as_str().unwrap().to_owned(),
                    answer.body["room_version"].as_u64().unwrap(),
                ));
            }
        }
        for who in ["host", "guest"] {
            // Waiting or in it, as the lobby has it.
            service.command(&server, &room, "admit", &json!({ "identity": who })).await;
        }
        let lister = signed(&claims("acme", None, Grants { room_list: true, ..Grants::default() }));
        let viewers =
            [("admin", server.clone()), ("host", person("host")), ("guest", person("guest")), ("lister", lister)];
        let cold = service.run.clone().serve().await;
        for (viewer, token) in viewers {
            let seen = pages(&service.server, &token, &room, 1_000).await;
            assert!(seen.len() > 20, "{viewer}: {}", seen.len());
            assert_eq!(pages(&service.server, &token, &room, 7).await, seen, "{viewer}, seed {seed}");
            assert_eq!(pages(&cold, &token, &room, 7).await, seen, "{viewer} on another node, seed {seed}");
            assert_eq!(lines(&service, &token, &room).await, seen, "{viewer} by lines, seed {seed}");
            assert_eq!(streamed(&service, &token, &room, seen.len()).await, seen, "{viewer} by a stream, seed {seed}");
            let admin = viewer == "admin";
            assert!(!seen.iter().any(|event| is_secret(event, admin)), "{viewer}, seed {seed}");
            let of_lobby = seen.iter().filter(|event| event["type"] == "room.participant-waiting");
            let named = of_lobby
                .filter(|event| event["data"]["identity"].is_string() && event["data"]["identity"] != viewer)
                .count();
            assert_eq!(named > 0, admin || viewer == "host", "{viewer}, seed {seed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_that_hold_no_longer_are_for_administrators() {
    let service = Service::start().await;
    let (server, ann) = (server_token(), person("ann"));
    let room = service.room(&json!({})).await;
    service.join(&room, "ann", "host").await;
    let mut sent = Vec::new();
    for text in ["first", "second", "third"] {
        let said = service.command(&server, &room, "send-message", &say("ann", text)).await.is(200).body;
        sent.push(said["room_version"].clone());
    }
    let edit = json!({ "identity": "ann", "message": sent[0], "text": "better" });
    service.command(&server, &room, "edit-message", &edit).await.is(200);
    service.command(&server, &room, "delete-message", &json!({ "identity": "ann", "message": sent[1] })).await.is(200);
    let cold = service.run.clone().serve().await;
    for node in [&service.server, &cold, &service.server] {
        for (token, admin) in [(&ann, false), (&server, true)] {
            let seen = pages(node, token, &room, 1_000).await;
            let at = |version: &Value| seen.iter().find(|event| event["room_version"] == *version).unwrap();
            let (first, second, third) = (at(&sent[0]), at(&sent[1]), at(&sent[2]));
            assert_eq!((&first["edited"], &second["deleted"]), (&json!(true), &json!(true)), "{first} {second}");
            assert_eq!(first["personal"]["text"] == "first", admin, "{first}");
            assert_eq!(second["personal"]["text"] == "second", admin, "{second}");
            assert_eq!(third["personal"]["text"], "third");
            assert!(third.get("edited").is_none() && third.get("deleted").is_none());
            let edited = seen.iter().find(|event| event["type"] == "room.message-edited").unwrap();
            assert_eq!(edited["personal"]["text"], "better");
        }
    }
    let text = get(&service.server, &ann, &format!("/v1/rooms/{room}/events?limit=1000")).await.text;
    assert!(!text.contains("\"first\"") && !text.contains("\"second\""), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_for_staff_and_for_themselves_to_know() {
    let service = Service::start().await;
    let server = server_token();
    let room = service.room(&json!({ "settings": { "lobby": "everyone" } })).await;
    service.command(&server, &room, "join", &json!({ "identity": "host", "role": "host" })).await.is(200);
    service.command(&server, &room, "join", &json!({ "identity": "vic" })).await.is(200);
    service.command(&server, &room, "admit", &json!({ "identity": "vic" })).await;
    let ask = json!({ "identity": "walter", "display_name": "Walter Waits", "metadata": { "from": "Wuppertal" } });
    service.command(&server, &room, "join", &ask).await.is(200);
    service.command(&server, &room, "deny", &json!({ "identity": "walter" })).await.is(200);
    let path = |list: &str| format!("/v1/rooms/{room}/{list}?limit=1000");
    for (who, knows) in [("host", true), ("vic", false)] {
        let events = get(&service.server, &person(who), &path("events")).await.is(200).text;
        let told = get(&service.server, &person(who), &path("timeline")).await.is(200).text;
        for text in [&events, &told] {
            let found = ["walter", "Walter Waits", "Wuppertal"].iter().any(|word| text.contains(word));
            assert_eq!(found, knows, "{who}: {text}");
        }
        assert!(events.contains("room.participant-waiting") && events.contains("room.participant-denied"));
        assert_eq!(told.contains("Somebody waits to be let in"), !knows, "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_leaves_ends_nothing_for_the_other_and_staff_stay_staff() {
    let service = Service::start().await;
    let (server, ann) = (server_token(), person("ann"));
    let room = service.room(&json!({ "settings": { "duplicate_identity": "allow" } })).await;
    service.join(&room, "eve", "speaker").await;
    let join = json!({ "identity": "ann", "role": "host" });
    let first = service.command(&server, &room, "join", &join).await.is(200).body["events"][0]["data"].clone();
    let mut reader = Reader::open(&service, &ann, &format!("/v1/rooms/{room}/events?cursor=start"), None).await;
    // Another device joins as a viewer, and the first one leaves: ann is host all the same.
    service.command(&server, &room, "join", &json!({ "identity": "ann", "role": "viewer" })).await.is(200);
    let leave = json!({ "identity": "ann", "session": first["session"] });
    service.command(&server, &room, "leave", &leave).await.is(200);
    let to_staff = json!({ "identity": "eve", "text": "for staff", "to": "staff" });
    let said = service.command(&server, &room, "send-message", &to_staff).await.is(200).body;
    let mut last = String::new();
    loop {
        let event = reader.event().await.expect("the stream goes on");
        last.clone_from(&event.id);
        if event.event == "room.message-sent" {
            assert_eq!(event.data["room_version"], said["room_version"]);
            assert_eq!(event.data["personal"]["text"], "for staff");
            break;
        }
    }
    // Joined again in place of all their devices, they are staff again: on the open stream, and when they come back to it.
    service.command(&server, &room, "update-settings", &json!({ "duplicate_identity": "replace" })).await.is(200);
    service.command(&server, &room, "join", &join).await.is(200);
    service.command(&server, &room, "send-message", &to_staff).await.is(200);
    let again = async |reader: &mut Reader| loop {
        let event = reader.event().await.expect("the stream goes on");
        if event.event == "room.message-sent" {
            return event.data["room_version"].clone();
        }
    };
    let live = again(&mut reader).await;
    let mut resumed = Reader::open(&service, &ann, &format!("/v1/rooms/{room}/events"), Some(&last)).await;
    assert_eq!(again(&mut resumed).await, live);
}
