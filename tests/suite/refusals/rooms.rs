//! Rooms in every state that refuses something.

use convoke::commands::room::state::{KEPT, MAX_BANS};
use convoke::ids::RoomId;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{send, token};
use crate::api::{Service, person, server_token};

pub struct Scene {
    /// All of them, also ids under which there is no room.
    pub rooms: Vec<RoomId>,
    /// Open, with the default settings.
    pub plain: RoomId,
    /// Versions of messages: for everyone, for named people, deleted, older than what a room knows of deletions.
    pub messages: Vec<u64>,
    /// Tracks: one that is muted by staff, one that is not, one that may be published no more.
    pub tracks: Vec<String>,
    /// The name of a room that has not ended.
    pub taken_name: &'static str,
    /// An idempotency key that was used.
    pub used_key: &'static str,
}

struct Stage<'a> {
    service: &'a Service,
    scene: Scene,
}

pub async fn prepare(service: &Service) -> Scene {
    let scene = Scene {
        rooms: Vec::new(),
        plain: RoomId::TENANT,
        messages: Vec::new(),
        tracks: Vec::new(),
        taken_name: "taken",
        used_key: "used",
    };
    let mut stage = Stage { service, scene };
    stage.without_people().await;
    stage.plain().await;
    stage.closed().await;
    stage.crowded().await;
    stage.scene.rooms.push(RoomId::from_uuid(Uuid::now_v7()));
    stage.scene.rooms.push("00e50000-0000-7000-8000-000000000001".parse().unwrap());
    stage.scene
}

impl Stage<'_> {
    async fn room(&mut self, body: Value) -> String {
        let room = self.service.room(&body).await;
        self.scene.rooms.push(room.parse().unwrap());
        room
    }

    /// A room with a host, a moderator, a speaker and a viewer.
    async fn peopled(&mut self, settings: Value) -> String {
        let room = self.room(json!({ "settings": settings })).await;
        for (who, role) in [("hanna", "host"), ("mo", "moderator"), ("sam", "speaker"), ("vic", "viewer")] {
            self.service.join(&room, who, role).await;
        }
        room
    }

    /// A command that is accepted; its answer.
    async fn run(&self, who: &str, room: &str, command: &str, body: Value) -> Value {
        let token = if who.is_empty() { server_token() } else { person(who) };
        self.service.command(&token, room, command, &body).await.is(200).body
    }

    async fn settings(&self, room: &str, changed: Value) {
        self.run("", room, "update-settings", changed).await;
    }

    async fn message(&mut self, room: &str, who: &str, to: Value) -> u64 {
        let sent = self.run(who, room, "send-message", json!({ "text": "Hello", "to": to })).await;
        let version = sent["room_version"].as_u64().unwrap();
        self.scene.messages.push(version);
        version
    }

    async fn track(&mut self, room: &str, who: &str, source: &str) -> String {
        let published = self.run(who, room, "publish-track", json!({ "source": source })).await;
        let track = published["events"][0]["data"]["track"].as_str().unwrap().to_owned();
        self.scene.tracks.push(track.clone());
        track
    }

    /// Asks again and again until it is refused.
    async fn until_refused(&self, who: &str, room: &str, command: &str, body: Value, code: &str) {
        for _ in 0..1_000 {
            let answer = self.service.command(&person(who), room, command, &body).await;
            if answer.status != 200 {
                answer.problem(code);
                return;
            }
        }
        panic!("{command} is never refused with {code}");
    }

    async fn without_people(&mut self) {
        self.room(json!({ "opens_at": "2100-01-01T00:00:00Z", "name": "taken" })).await;
        let over = self.room(json!({})).await;
        self.run("", &over, "end-room", json!({})).await;
    }

    async fn plain(&mut self) {
        let room = self.peopled(json!({})).await;
        self.scene.plain = room.parse().unwrap();
        let muted = self.track(&room, "sam", "microphone").await;
        self.run("hanna", &room, "mute-participant", json!({ "identity": "sam" })).await;
        assert!(self.scene.tracks.contains(&muted));
        self.track(&room, "mo", "camera").await;
        self.message(&room, "sam", json!("everyone")).await;
        self.message(&room, "sam", json!({ "identities": ["mo"] })).await;
        let deleted = self.message(&room, "sam", json!("everyone")).await;
        self.run("sam", &room, "delete-message", json!({ "message": deleted })).await;
        self.run("", &room, "start-recording", json!({})).await;
        self.run("", &room, "ban", json!({ "identity": "bea" })).await;
        let used = json!({ "room": room, "command": "lower-all-hands", "idempotency_key": self.scene.used_key });
        assert_eq!(send(self.service, &token(0), &[used]).await[0]["status"], 200);
        // Somebody who was seen and is forgotten.
        self.service.join(&room, "lost", "viewer").await;
        self.run("lost", &room, "leave", json!({})).await;
        let erased = self.service.post(&server_token(), "/v1/commands/erase-person", &json!({ "identity": "lost" }));
        crate::api::Answer::of(erased).await.is(200);
    }

    /// Rooms whose settings or staff let people do little.
    async fn closed(&mut self) {
        let mute = self.peopled(json!({})).await;
        self.message(&mute, "sam", json!("everyone")).await;
        let track = self.track(&mute, "sam", "microphone").await;
        self.run("sam", &mute, "mute-track", json!({ "track": track })).await;
        let none = json!({ "audio": [], "video": [], "screen": [] });
        self.settings(&mute, json!({ "chat": "off", "self_rename": false, "publish": none })).await;

        let indirect = self.peopled(json!({})).await;
        self.message(&indirect, "sam", json!({ "identities": ["mo"] })).await;
        self.settings(&indirect, json!({ "direct_messages": false })).await;

        let locked = self.peopled(json!({ "duplicate_identity": "refuse" })).await;
        self.run("hanna", &locked, "lock-room", json!({})).await;
        self.peopled(json!({ "duplicate_identity": "refuse" })).await;

        let screen = self.peopled(json!({ "one_screen": "refuse" })).await;
        self.track(&screen, "mo", "screen").await;
    }

    /// Rooms with as much of something as there may be.
    async fn crowded(&mut self) {
        let full = self.peopled(json!({ "lobby": "everyone" })).await;
        self.run("wanda", &full, "join", json!({})).await;
        self.settings(&full, json!({ "max_participants": 1 })).await;

        let many = self.peopled(json!({ "duplicate_identity": "allow" })).await;
        self.until_refused("vic", &many, "join", json!({}), "too-many-sessions").await;
        self.until_refused("sam", &many, "publish-track", json!({ "source": "camera" }), "too-many-tracks").await;

        let banned = self.peopled(json!({})).await;
        let ban = |number| json!({ "room": banned, "command": "ban", "data": { "identity": format!("x{number}") } });
        let bans: Vec<Value> = (0..MAX_BANS).map(ban).collect();
        assert!(send(self.service, &token(0), &bans).await.iter().all(|answer| answer["status"] == 200));

        let old = self.peopled(json!({})).await;
        let first = self.message(&old, "sam", json!("everyone")).await;
        let say = json!({ "room": old, "command": "send-message", "data": { "identity": "sam", "text": "x" } });
        let said = send(self.service, &token(0), &vec![say; KEPT + 1]).await;
        let deletions: Vec<Value> = said
            .iter()
            .map(|said| json!({ "identity": "sam", "message": said["result"]["room_version"] }))
            .map(|data| json!({ "room": old, "command": "delete-message", "data": data }))
            .collect();
        assert!(send(self.service, &token(0), &deletions).await.iter().all(|answer| answer["status"] == 200));
        assert!(self.scene.messages.contains(&first));
    }
}
