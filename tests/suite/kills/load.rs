//! Callers that ask until they are answered, each command under a key of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use convoke::events::envelope::Envelope;
use convoke::events::room::RoomEvent;
use convoke::ids::RoomId;
use convoke::security::grants::Grants;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Run, client, tokens};

const ROOMS: usize = 3;

/// Two servers on one database know the same master key.
pub const MASTER_KEY: &str = "tests:dGVzdHMgdGVzdHMgdGVzdHMgdGVzdHMgdGVzdHMgdGU=";

/// Between attempts of one caller while the server is away.
const RETRY: Duration = Duration::from_millis(20);

/// No answer takes longer, the server being there or not.
const ANSWER: Duration = Duration::from_secs(20);

/// How a join ended.
pub enum Answered {
    Accepted { identity: String, position: u64, room_version: u64 },
    Refused { identity: String },
}

pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    callers: Vec<tokio::task::JoinHandle<Vec<Answered>>>,
}

/// A server that takes the tokens of the load.
pub fn signed(run: Run) -> Run {
    tokens::accepted_by(run)
}

#[derive(Clone)]
struct Caller {
    /// Tells the callers of one load from those of another.
    load: Uuid,
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Caller {
    /// Asks until there is an answer that is not of the moment.
    async fn insist(&self, path: &str, key: &str, body: &Value) -> (u16, Value) {
        loop {
            let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token);
            let sent = request.header("Idempotency-Key", format!("\"{key}\"")).json(body).send().await;
            if let Ok(response) = sent {
                let status = response.status().as_u16();
                if status < 500
                    && let Ok(answer) = response.json().await
                {
                    return (status, answer);
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

impl Load {
    /// So many callers, spread over the servers.
    pub async fn start(urls: &[&str], callers: usize) -> Self {
        let client = client(reqwest::Client::builder().timeout(ANSWER));
        let token = tokens::of("dev", None, Grants::everything());
        let load = Uuid::now_v7();
        let caller = Caller { load, client, url: urls[0].into(), token };
        let mut rooms = Vec::new();
        for number in 0..ROOMS {
            let (status, room) = caller.insist("/v1/rooms", &format!("{load}-room-{number}"), &json!({})).await;
            assert_eq!(status, 201, "{room}");
            rooms.push(room["room"].as_str().unwrap().to_owned());
        }
        let ended = RoomId::from_uuid(Uuid::now_v7());
        caller.insist("/v1/rooms", &format!("{load}-ended"), &json!({ "id": ended })).await;
        let (status, answer) =
            caller.insist(&format!("/v1/rooms/{ended}/commands/end-room"), &format!("{load}-end"), &json!({})).await;
        assert_eq!(status, 200, "{answer}");
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let callers = (0..callers)
            .map(|number| {
                let caller = Caller { url: urls[number % urls.len()].into(), ..caller.clone() };
                let (rooms, ended) = (rooms.clone(), ended.to_string());
                let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
                tokio::spawn(async move { call(caller, number, &rooms, &ended, &stop, &acknowledged).await })
            })
            .collect();
        Self { stop, acknowledged, callers }
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub async fn stop(self) -> Vec<Answered> {
        self.stop.store(true, Ordering::Relaxed);
        let mut answered = Vec::new();
        for caller in self.callers {
            answered.extend(caller.await.unwrap());
        }
        answered
    }
}

/// Every seventh join is to a room that has ended.
async fn call(
    caller: Caller,
    number: usize,
    rooms: &[String],
    ended: &str,
    stop: &AtomicBool,
    acknowledged: &AtomicU64,
) -> Vec<Answered> {
    let mut answered = Vec::new();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let identity = format!("{}-{number}-{count}", caller.load);
        let room = if count % 7 == 0 { ended } else { &rooms[(number + count) % rooms.len()] };
        let path = format!("/v1/rooms/{room}/commands/join");
        let body = json!({ "identity": identity, "display_name": "Somebody" });
        let (status, answer) = caller.insist(&path, &identity, &body).await;
        if status == 200 {
            let number = |field: &str| answer[field].as_u64().unwrap();
            let (position, room_version) = (number("position"), number("room_version"));
            answered.push(Answered::Accepted { identity, position, room_version });
            acknowledged.fetch_add(1, Ordering::Relaxed);
        } else {
            assert_eq!(status, 409, "{answer}");
            answered.push(Answered::Refused { identity });
        }
    }
    answered
}

/// Where each person joined: position and room version.
pub fn joins(events: &[Envelope]) -> HashMap<String, Vec<(u64, u64)>> {
    let mut joins: HashMap<String, Vec<(u64, u64)>> = HashMap::new();
    for event in events {
        if let RoomEvent::ParticipantJoined(joined) = event.event().unwrap() {
            joins.entry(joined.identity.to_string()).or_default().push((event.position, event.room_version));
        }
    }
    joins
}
