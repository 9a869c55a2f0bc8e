//! The commands, each an operation of its own.

use crate::events::room::shapes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{OpenApiDocument, Operation};
use crate::commands::command::{CommandKind, CommandSpec as _};
use crate::commands::room::CreateRoom;
use crate::events::time::Timestamp;
use crate::http::problem::ProblemCode;
use crate::ids::{Position, RoomId, RoomVersion};

/// What became of a command: its events are durable. With `Prefer: return=minimal` it says `room`, `room_version` and `position`
/// only.
#[derive(Serialize, JsonSchema)]
pub struct CommandAnswer {
    /// Of the command's last event; where it wrote none, of the room's last.
    position: Position,
    /// When the log took it. Not in a minimal answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Timestamp")]
    recorded_at: Option<Timestamp>,
    /// The room it was for; the nil UUID where it was to the tenant itself.
    room: RoomId,
    /// The room's version after the command; the number in its `ETag`.
    room_version: RoomVersion,
    /// The events that the command wrote, the first 100; none where it was so already. Not in a minimal answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<WrittenEvent>,
    /// How many more it wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    more_events: Option<u64>,
}

/// An event that a command wrote: in short, the whole of it is in the lists of events.
#[derive(Serialize, JsonSchema)]
#[schemars(transform = shapes::any_event)]
struct WrittenEvent {
    #[serde(rename = "type")]
    event_type: String,
    type_version: u16,
    room_version: RoomVersion,
    data: Map<String, Value>,
}

/// Headers that every command takes.
pub fn command_headers(operation: Operation) -> Operation {
    ["idempotency-key", "if-match", "causation-id", "correlation-id", "traceparent", "prefer"]
        .into_iter()
        .fold(operation, Operation::shared)
}

/// Problems that every command may meet before its rule is asked.
const COMMAND_PROBLEMS: &[ProblemCode] = &[
    ProblemCode::InvalidJson,
    ProblemCode::IdempotencyKeyMalformed,
    ProblemCode::VersionMismatch,
    ProblemCode::PayloadTooLarge,
    ProblemCode::UnsupportedMediaType,
    ProblemCode::InvalidFields,
    ProblemCode::IdempotencyKeyReused,
];

/// One command at a path.
pub fn describe_command(document: &mut OpenApiDocument, path: &str, operation: Operation, kind: &CommandKind) {
    let answer = answer(document, kind);
    let headers = ["ETag", "Convoke-Position", "Idempotency-Replayed", "Preference-Applied"];
    let mut operation = command_headers(operation)
        .about(kind.description)
        .body("", body(document, kind))
        .json(200, "Executed, or without a change", &headers, &answer)
        .problems(COMMAND_PROBLEMS)
        .refusals(kind.refusals);
    if kind.name == CreateRoom::NAME {
        operation = operation.json(201, "Created", &[&["Location"][..], &headers].concat(), &answer);
    }
    document.add(path, operation);
}

/// The answer of one command: as of any, with no events but those that it can lead to.
fn answer(document: &mut OpenApiDocument, kind: &CommandKind) -> Value {
    let (mut answer, mut written) = (document.answer_apart::<CommandAnswer>(), document.answer_apart::<WrittenEvent>());
    if let Some(written) = written.as_object_mut() {
        shapes::one_of_these(written, kind.events);
    }
    answer["properties"]["events"]["items"] = written;
    let name: String = kind.name.split('-').map(capital).chain(["Answer".to_owned()]).collect();
    document.keep_as(name.clone(), answer);
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn body(document: &mut OpenApiDocument, kind: &CommandKind) -> Value {
    let schema = document.keep((kind.schema)());
    let examples: Map<String, Value> = (kind.examples)()
        .into_iter()
        .enumerate()
        .map(|(index, example)| {
            (format!("example-{}", index + 1), json!({ "summary": example.about, "value": example.body }))
        })
        .collect();
    json!({ "application/json": { "schema": schema, "examples": examples } })
}
