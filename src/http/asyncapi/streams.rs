//! Server-sent events as channels: `/v1/rooms/{room}/events` and `/v1/events`.

use serde_json::{Map, Value, json};

use crate::events::room::RoomEvent;
use crate::http::events_description::cursor_about;
use crate::http::stream::live::{self, RETRY};
use crate::http::{events, room_events};

/// The name of a stream's last event.
pub const GOODBYE: &str = "goodbye";

/// A stream: of what, at which path.
struct Channel {
    name: &'static str,
    path: &'static str,
    title: &'static str,
    about: &'static str,
    /// What its cursors count.
    count: &'static str,
}

const CHANNELS: [Channel; 2] = [
    Channel {
        name: "room-events",
        path: room_events::PATH,
        title: "Live events of a room",
        about: "What happens in one room, in the order of its versions. A message that is not for the reader is left out: \
            versions then jump. The stream ends with the room; asked for again behind the last event, it is answered 204, and \
            readers of server-sent events stop.",
        count: "room version",
    },
    Channel {
        name: "events",
        path: events::PATH,
        title: "Live events of all rooms",
        about: "What happens in all rooms of the tenant, and to the tenant itself, in the order of the log. Needs the grant `room_list`, which sees \
            messages to everyone and no personal fields, or `room_admin`, which sees all.",
        count: "position",
    },
];

pub fn channels() -> Map<String, Value> {
    CHANNELS.iter().map(|channel| (channel.name.to_owned(), channel.describe())).collect()
}

/// The server sends, whoever asked receives.
pub fn operations() -> Map<String, Value> {
    CHANNELS.iter().map(|channel| (format!("stream-{}", channel.name), channel.operation())).collect()
}

impl Channel {
    fn is_of_a_room(&self) -> bool {
        self.path.contains("{room}")
    }

    /// Of all that it may bring.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let all = !self.is_of_a_room();
        let brought = RoomEvent::catalogue().into_iter().filter(move |kind| all || kind.is_of_rooms());
        brought.map(|kind| kind.name).chain([GOODBYE])
    }

    fn describe(&self) -> Value {
        let message = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/messages/{name}") }));
        let mut channel = json!({
            "address": self.path,
            "title": self.title,
            "description": self.about,
            "servers": [{ "$ref": "#/servers/http" }],
            "messages": self.names().map(message).collect::<Map<_, _>>(),
        });
        if self.is_of_a_room() {
            channel["parameters"] = json!({ "room": { "description": "Id of the room, UUIDv7" } });
        }
        channel
    }

    fn operation(&self) -> Value {
        let place = format!("#/channels/{}", self.name);
        let text = |about: &str| json!({ "type": "string", "description": about });
        json!({
            "action": "send",
            "channel": { "$ref": place },
            "title": self.title,
            "description": format!(
                "Asked for by `GET` with `Accept: text/event-stream`. First come `retry`, how many milliseconds to wait before \
                 coming back (another number for each reader, {} at most), and an `id` alone, where the stream begins. While nothing happens for the reader there are \
                 comments, or an `id` alone where events for others were passed. `Last-Event-ID` takes the last id back and \
                 goes before `cursor`.",
                RETRY.as_millis(),
            ),
            "bindings": { "http": {
                "method": "GET",
                "query": { "type": "object", "properties": {
                    "cursor": text(&cursor_about(self.count)),
                    "since": {
                        "type": "string", "format": "date-time",
                        "description": "Instead of a cursor: begin at the first event recorded at or after this time",
                    },
                    "at_least": text("Wait for a bounded time until the log has this position, as in `Convoke-Position`"),
                } },
                "bindingVersion": "0.3.0",
            } },
            "messages": self.names().map(|name| json!({ "$ref": format!("{place}/messages/{name}") })).collect::<Vec<_>>(),
        })
    }
}

/// A server-sent event: its fields as headers, its `data` as payload.
pub fn message(name: &str, about: &Value, payload: &Value) -> Value {
    json!({
        "name": name,
        "title": name,
        "summary": about,
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "description": "The fields beside `data`.",
            "required": ["id", "event"],
            "properties": {
                "id": {
                    "type": "string",
                    "description": "The cursor behind this event, for `Last-Event-ID`",
                    "examples": ["3f2a91c0-v12"],
                },
                "event": { "const": name },
            },
        },
        "payload": payload,
    })
}

pub fn goodbye_schema() -> Value {
    let reasons: Vec<_> = live::ends().map(|(code, about)| json!({ "const": code, "description": about })).collect();
    json!({
        "type": "object",
        "description": "Why a stream ends.",
        "required": ["reason", "cursor", "detail"],
        "properties": {
            "reason": { "oneOf": reasons },
            "cursor": { "type": "string", "description": "The last id of the stream" },
            "detail": { "type": "string", "description": "The reason in a sentence or two" },
        },
    })
}
