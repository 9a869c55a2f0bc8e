//! What time does to rooms, in the running program.

use std::time::Duration;

use convoke::events::time::Clock;
use convoke::security::grants::Grants;
use serde_json::{Value, json};

use crate::harness::{Run, Server, TestDb, eventually, tokens};

const SOON: Duration = Duration::from_secs(30);

struct Rooms(Server);

impl Rooms {
    async fn start(db: &TestDb) -> Self {
        Self(tokens::accepted_by(Run::on(db)).serve().await)
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let token = tokens::of("dev", None, Grants::everything());
        let request = self.0.client.post(format!("{}{path}", self.0.url)).bearer_auth(token).json(body);
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn create(&self, body: &Value) -> String {
        let created = self.post("/v1/rooms", body).await;
        created["room"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned()
    }
}

/// The reason in the event of a name, once there is one.
async fn reason(db: &TestDb, room: &str, event: &str) -> String {
    eventually(event, SOON, async || {
        sqlx::query_scalar("SELECT data ->> 'reason' FROM convoke.log WHERE room = $1::text::uuid AND event_type = $2")
            .bind(room)
            .bind(event)
            .fetch_optional(&db.owner)
            .await
            .unwrap()
    })
    .await
}

#[tokio::test]
async fn rooms_open_and_end_by_themselves_each_once() {
    let db = TestDb::new().await;
    // Two servers give the same orders: they are carried out once.
    let (rooms, _second) = (Rooms::start(&db).await, Rooms::start(&db).await);
    let soon = Clock::system().now().plus_seconds(2);
    let scheduled = rooms.create(&json!({ "opens_at": soon })).await;
    let empty = rooms.create(&json!({ "settings": { "empty_timeout_s": 1 } })).await;
    let long = rooms.create(&json!({ "settings": { "max_duration_s": 1 } })).await;
    let lasting = rooms.create(&json!({})).await;
    rooms.post(&format!("/v1/rooms/{long}/commands/join"), &json!({ "identity": "ann" })).await;
    assert_eq!(reason(&db, &scheduled, "room.opened").await, "due");
    assert_eq!(reason(&db, &empty, "room.ended").await, "empty");
    assert_eq!(reason(&db, &long, "room.ended").await, "too-long");
    assert_eq!(reason(&db, &long, "room.participant-left").await, "room-ended");
    let orders: Vec<(String, i64)> = sqlx::query_as(
        "SELECT event_type, count(*) FROM convoke.log
         WHERE actor = 'system:deadlines' GROUP BY event_type ORDER BY event_type",
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    let expected = [("room.ended", 2), ("room.opened", 1), ("room.participant-left", 1)];
    assert!(orders.iter().map(|(name, count)| (name.as_str(), *count)).eq(expected), "{orders:?}");
    let version: i64 = sqlx::query_scalar("SELECT version FROM convoke.room_heads WHERE room = $1::text::uuid")
        .bind(&lasting)
        .fetch_one(&db.owner)
        .await
        .unwrap();
    assert_eq!(version, 1, "a room without a deadline stays as it is");
}
