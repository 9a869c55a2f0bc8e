//! The catalogue of events in the description: for every name and version the shape of its `data`, and in place of "any event"
//! one of these. All of it comes out of [`RoomEvent::catalogue`].

use schemars::Schema;
use serde_json::{Map, Value, json};

use super::Document;
use crate::events::room::{EventKind, RoomEvent};

/// The fields that tell one event from another.
const TOLD_APART_BY: [&str; 3] = ["type", "type_version", "data"];

/// Every event as a schema that the others refer to.
pub fn describe(document: &mut Document) {
    for kind in RoomEvent::catalogue() {
        let schema = (kind.schema)();
        let (name, about) = (name(&kind), schema.get("description").cloned().unwrap_or_default());
        let data = document.keep(schema);
        document.keep_as(
            name,
            json!({
                "type": "object",
                "description": about,
                "required": TOLD_APART_BY,
                "properties": {
                    "type": { "const": kind.name },
                    "type_version": { "const": kind.version },
                    "data": data,
                },
            }),
        );
    }
}

/// `RoomCreatedEvent`, of which `RoomCreated` is the data.
pub fn name(kind: &EventKind) -> String {
    let schema = (kind.schema)();
    format!("{}Event", schema.get("title").and_then(Value::as_str).expect("shapes are called as their types are"))
}

/// Of a shape that shows an event: any `type` and `data` become those of one event.
pub fn any_event(schema: &mut Schema) {
    if let Some(schema) = schema.as_object_mut() {
        one_of(schema, &RoomEvent::catalogue());
    }
}

/// As [`any_event`], for the events of these names.
pub(super) fn one_of_these(schema: &mut Map<String, Value>, names: &[&str]) {
    let kinds: Vec<_> = RoomEvent::catalogue().into_iter().filter(|kind| names.contains(&kind.name)).collect();
    one_of(schema, &kinds);
}

fn one_of(schema: &mut Map<String, Value>, kinds: &[EventKind]) {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|field, _| !TOLD_APART_BY.contains(&field.as_str()));
    }
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|field| !field.as_str().is_some_and(|field| TOLD_APART_BY.contains(&field)));
    }
    let place = |kind: &EventKind| format!("#/components/schemas/{}", name(kind));
    let mapping: Map<String, Value> = kinds.iter().map(|kind| (kind.name.to_owned(), place(kind).into())).collect();
    schema.insert("oneOf".into(), kinds.iter().map(|kind| json!({ "$ref": place(kind) })).collect());
    schema.insert("discriminator".into(), json!({ "propertyName": "type", "mapping": mapping }));
}
