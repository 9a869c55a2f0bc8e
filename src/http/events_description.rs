//! How lists of events are described: they come in three forms.

use serde_json::{Value, json};

use super::events_answer::EventPage;
use super::events_request::MOST;
use super::openapi::{OpenApiDocument, Operation};
use super::problem::ProblemCode;
use crate::events::room::RoomEvent;
use crate::live::event_view::EventView;

/// What a cursor may be; `count`: what it counts.
pub fn cursor_about(count: &str) -> String {
    format!(
        "Go on after this: a cursor as it was received, a {count}, `start` or `now`. Without it a stream begins now, anything \
         else at the start. `Last-Event-ID` goes before it"
    )
}

/// `count`: what the cursors count.
pub fn describe_events(document: &mut OpenApiDocument, path: &str, operation: Operation, count: &str) {
    let page = document.answer::<EventPage>();
    let event = document.answer::<EventView<'static>>();
    let text = json!({ "type": "string" });
    let cursor = cursor_about(count);
    let operation = operation
        .query("cursor", text.clone(), &cursor)
        .query("since", json!({ "type": "string", "format": "date-time" }), "Instead of a cursor: begin at the first event recorded at or after this time")
        .query("until", text, &format!("Not for streams. The last event to be given: a cursor or a {count}"))
        .query("limit", json!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": 100 }), "Pages only: events in a page")
        .shared("at-least")
        .answer(
            200,
            "Events, in the form that `Accept` asks for",
            &["Convoke-Position"],
            Some(json!({
                "application/json": { "schema": page },
                "application/x-ndjson": { "schema": event.clone() },
                "text/event-stream": {
                    "schema": {
                        "type": "string",
                        "description": "Server-sent events. `id`: the cursor; `event`: the event's type; `data`: the event as \
                            JSON, an `Event`. An `id` alone moves the cursor. `goodbye` says why the stream ends: come back with \
                            the last id",
                    },
                    "x-itemSchema": item(&event, path.contains("{room}")),
                },
            })),
        )
        .problems(&[ProblemCode::Forbidden, ProblemCode::NotAcceptable, ProblemCode::CursorMalformed, ProblemCode::CursorOfAnotherEpoch]);
    document.add(path, operation);
}

/// One of a stream, as OpenAPI 3.2 would have it in `itemSchema`.
fn item(event: &Value, of_a_room: bool) -> Value {
    let kinds = RoomEvent::catalogue().into_iter().filter(|kind| !of_a_room || kind.is_of_rooms());
    let mut names: Vec<_> = kinds.map(|kind| kind.name).collect();
    names.push("goodbye");
    json!({
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": { "type": "string" },
            "event": { "enum": names },
            "data": { "type": "string", "contentMediaType": "application/json", "contentSchema": event },
        },
    })
}
