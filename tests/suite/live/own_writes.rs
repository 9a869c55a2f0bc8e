//! A node never answers less than it acknowledged.

use serde_json::{Value, json};

use super::{list, say};
use crate::api::{Answer, Service, person, server_token};

/// Commands in turn, each followed by every read. `make test-long` asks for more.
const ROUNDS: usize = 120;

fn rounds() -> usize {
    std::env::var("CONVOKE_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}

async fn version(service: &Service, token: &str, room: &str) -> u64 {
    Answer::of(service.get(token, &format!("/v1/rooms/{room}"))).await.is(200).body["version"].as_u64().unwrap()
}

/// The last message of the room. At first the whole list is read from its other end, too.
async fn last_message(service: &Service, token: &str, room: &str, number: usize) -> Value {
    let newest = format!("/v1/rooms/{room}/messages?order=newest&limit=1");
    let newest = Answer::of(service.get(token, &newest)).await.is(200).body["messages"][0].clone();
    if number < 200 {
        let all = list(&service.server, token, &format!("/v1/rooms/{room}/messages?"), "messages", 1_000).await;
        assert_eq!(all.last(), Some(&newest));
    }
    newest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_is_in_every_read_that_follows_it_on_the_same_node() {
    let service = Service::start().await;
    let server = server_token();
    let room = service.room(&json!({})).await;
    service.join(&room, "ann", "host").await;
    for number in 0..rounds() {
        let who = format!("person-{number:05}");
        let token = if number % 2 == 0 { &server } else { &person("ann") };
        let joined = service.command(&server, &room, "join", &json!({ "identity": who })).await.is(200).body;
        assert!(version(&service, token, &room).await >= joined["room_version"].as_u64().unwrap());
        let people =
            list(&service.server, token, &format!("/v1/rooms/{room}/participants?"), "participants", 1_000).await;
        assert!(people.iter().any(|person| person["identity"] == *who), "{who} is not among {}", people.len());

        let said = service.command(&server, &room, "send-message", &say(&who, &who)).await.is(200).body;
        let newest = format!("/v1/rooms/{room}/messages?order=newest&limit=1");
        let newest = Answer::of(service.get(token, &newest)).await.is(200).body;
        assert_eq!(newest["messages"][0]["message"], said["room_version"], "{newest}");
        assert_eq!(newest["messages"][0]["personal"]["text"], *who);
        let message = said["room_version"].clone();
        let edit = json!({ "identity": who, "message": message, "text": "edited" });
        service.command(&server, &room, "edit-message", &edit).await.is(200);
        let last = last_message(&service, token, &room, number).await;
        assert_eq!(last["personal"]["text"], "edited");
        if number % 3 == 0 {
            let delete = json!({ "identity": who, "message": message });
            service.command(&server, &room, "delete-message", &delete).await.is(200);
            let last = last_message(&service, token, &room, number).await;
            assert!(last["deleted_at"].is_string() && last.get("personal").is_none(), "{last}");
        }

        let left = service.command(&server, &room, "leave", &json!({ "identity": who })).await.is(200).body;
        let after = left["room_version"].as_u64().unwrap() - 1;
        let events = format!("/v1/rooms/{room}/events?cursor={after}");
        let events = Answer::of(service.get(token, &events)).await.is(200).body;
        assert_eq!(events["events"][0]["room_version"], left["room_version"]);
        assert_eq!(version(&service, token, &room).await, left["room_version"].as_u64().unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_who_is_let_in_sees_the_room_at_once_and_one_who_is_put_out_sees_nothing() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let (server, bob) = (server_token(), person("bob"));
    for _ in 0..20 {
        let people = || Answer::of(service.get(&bob, &format!("/v1/rooms/{room}/participants")));
        people().await.is(403).problem("forbidden");
        service.join(&room, "bob", "speaker").await;
        assert_eq!(people().await.is(200).body["participants"][0]["identity"], "bob");
        service
            .command(&server, &room, "change-role", &json!({ "identity": "bob", "role": "moderator" }))
            .await
            .is(200);
        let lobby = Answer::of(service.get(&bob, &format!("/v1/rooms/{room}/waiting"))).await.is(200);
        assert_eq!(lobby.body["waiting"], json!([]));
        service.command(&server, &room, "remove", &json!({ "identity": "bob" })).await.is(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_erased_is_nobody_in_pages_that_were_made_before() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let server = server_token();
    let join = json!({ "identity": "eve", "display_name": "Evelyn" });
    service.command(&server, &room, "join", &join).await.is(200);
    service.join(&room, "ann", "host").await;
    service.command(&server, &room, "send-message", &say("eve", "I was here")).await.is(200);
    let ann = person("ann");
    let texts = async || {
        let people = Answer::of(service.get(&ann, &format!("/v1/rooms/{room}/participants"))).await.is(200);
        let messages = Answer::of(service.get(&ann, &format!("/v1/rooms/{room}/messages"))).await.is(200);
        format!("{}{}", people.text, messages.text)
    };
    for _ in 0..2 {
        let before = texts().await;
        assert!(before.contains("Evelyn") && before.contains("I was here"), "{before}");
    }
    Answer::of(service.post(&server, "/v1/commands/erase-person", &json!({ "identity": "eve" }))).await.is(200);
    let after = texts().await;
    assert!(!after.contains("Evelyn") && !after.contains("I was here"), "{after}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_more_messages_than_are_in_memory_every_page_is_there() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    let (server, count) = (server_token(), 1_100);
    service.join(&room, "ann", "host").await;
    let line = |number: usize| {
        let data = say("ann", &format!("message {number}"));
        json!({ "room": room, "command": "send-message", "data": data })
    };
    let lines: Vec<Value> = (0..count).map(line).collect();
    for half in lines.chunks(count / 2) {
        let list = json!({ "commands": half });
        Answer::of(service.post(&server, "/v1/commands", &list)).await.is(200);
        // In memory from here on.
        let newest = format!("/v1/rooms/{room}/messages?order=newest&limit=1");
        Answer::of(service.get(&server, &newest)).await.is(200);
    }
    for order in ["oldest", "newest"] {
        for limit in [90, 1_000] {
            let path = format!("/v1/rooms/{room}/messages?order={order}");
            let all = list(&service.server, &person("ann"), &path, "messages", limit).await;
            let mut texts: Vec<_> = all.iter().map(|message| message["personal"]["text"].as_str().unwrap()).collect();
            if order == "newest" {
                texts.reverse();
            }
            assert_eq!(texts.len(), count, "{order} {limit}");
            assert!(texts.iter().enumerate().all(|(number, text)| *text == format!("message {number}")));
        }
    }
}
