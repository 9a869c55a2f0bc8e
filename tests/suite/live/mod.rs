//! Rooms as a node has them in memory: it shows what it acknowledged, at one version, and the same as the read models.

mod nodes;
mod own_writes;
mod visibility;

use serde_json::{Value, json};

use crate::api::Answer;
use crate::harness::Server;

/// A room that is read: the room, its people, its messages (the newest first) and what happened last.
pub struct Look {
    pub room: Value,
    pub people: Vec<Value>,
    pub messages: Vec<Value>,
}

/// Reads from a node.
pub async fn get(node: &Server, token: &str, path: &str) -> Answer {
    Answer::of(node.client.get(format!("{}{path}", node.url)).bearer_auth(token)).await
}

/// All pages of a list of the room.
pub async fn list(node: &Server, token: &str, path: &str, name: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(node, token, &format!("{path}&limit={limit}{cursor}")).await.is(200).body;
        items.extend(page[name].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// What somebody sees of a room; `at_least`: a position that has to be in it, or nothing.
pub async fn look(node: &Server, token: &str, room: &str, at_least: &str) -> Look {
    let path = |list: &str| format!("/v1/rooms/{room}{list}?{at_least}");
    let view = get(node, token, &path("")).await.is(200).body;
    Look {
        room: view,
        people: list(node, token, &path("/participants"), "participants", 7).await,
        messages: list(node, token, &path("/messages"), "messages", 7).await,
    }
}

pub fn say(who: &str, text: &str) -> Value {
    json!({ "identity": who, "text": text })
}
