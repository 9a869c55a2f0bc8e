//! Several nodes on one log: what one acknowledged, the others show to whoever presents its position; and all show the same.

use serde_json::{Value, json};

use super::{get, look, say};
use crate::api::{Answer, Service, person, server_token};
use crate::harness::Server;

async fn command(node: &Server, room: &str, command: &str, data: &Value) -> Answer {
    let path = format!("{}/v1/rooms/{room}/commands/{command}", node.url);
    Answer::of(node.client.post(path).bearer_auth(server_token()).json(data)).await
}

/// Commands of every kind that changes what is shown of a room, in turn through the nodes.
fn story(number: usize) -> Vec<(&'static str, Value)> {
    let who = format!("person-{}", number % 9);
    let somebody = json!({ "identity": who });
    vec![
        ("join", json!({ "identity": who, "display_name": format!("Name {number}"), "metadata": { "n": number } })),
        ("raise-hand", somebody.clone()),
        ("send-message", say(&who, &format!("text {number}"))),
        ("rename", json!({ "identity": who, "display_name": format!("Other {number}") })),
        ("publish-track", json!({ "identity": who, "source": "microphone" })),
        (
            "change-role",
            json!({ "identity": who, "role": if number.is_multiple_of(2) { "moderator" } else { "speaker" } }),
        ),
        (if number.is_multiple_of(3) { "leave" } else { "lower-hand" }, somebody),
        (if number.is_multiple_of(4) { "lock-room" } else { "unlock-room" }, json!({})),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_shows_what_another_acknowledged_and_the_same_as_the_read_models() {
    let service = Service::start().await;
    let first = &service.server;
    let second = service.run.clone().serve().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "ann", "host").await;
    let (server, ann) = (server_token(), person("ann"));
    for number in 0..24_usize {
        let (writer, reader) = if number.is_multiple_of(2) { (first, &second) } else { (&second, first) };
        let mut position = 0;
        for (command, data) in story(number) {
            let answer = self::command(writer, &room, command, &data).await;
            position = answer.body["position"].as_u64().unwrap_or(position);
        }
        let at_least = format!("at_least={position}");
        let (near, far) = (look(writer, &ann, &room, "").await, look(reader, &ann, &room, &at_least).await);
        assert_eq!(near.room, far.room);
        assert_eq!(near.people, far.people);
        assert_eq!(near.messages, far.messages);
        assert_eq!(near.people.len() as u64, near.room["participant_count"].as_u64().unwrap());
    }
    // A node that has never heard of the room answers a server out of the read models.
    let position = get(first, &server, &format!("/v1/rooms/{room}")).await.header("convoke-position").to_owned();
    let third = service.run.clone().serve().await;
    let at_least = format!("at_least={position}");
    let (live, cold) = (look(first, &server, &room, "").await, look(&third, &server, &room, &at_least).await);
    assert_eq!((live.room, live.people, live.messages), (cold.room, cold.people, cold.messages));
}
