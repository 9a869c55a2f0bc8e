//! The AsyncAPI 3.0 description of what flows: the live streams of server-sent events, and the Kafka topic. Made from the code as the description
//! in OpenAPI is, and of the same shapes. Served at `/asyncapi.json`, kept in `docs/asyncapi.json`, browsed at `/docs`.
//!
//! Only what this program sends is described. How a stream is asked for in all its forms, and what may be refused, OpenAPI
//! tells.

mod streams;
mod topic;

use crate::events::room::shapes;
use serde_json::{Map, Value, json};

use super::{description, openapi};
use crate::events::room::RoomEvent;
use crate::events::schemas::flow;

const ABOUT: &str = "Events of rooms, live, as server-sent events (WHATWG HTML, 9.2) and as a Kafka topic. A stream continues from any cursor \
    without gaps or repetitions: the `id` of each event is a cursor, and a reader that reconnects with it in `Last-Event-ID` \
    gets the events after it.\n\nEvents have the newest version of their shape. A reader must ignore unknown types and unknown \
    fields: a newer server may write to the same log.";

/// The whole description.
pub fn document() -> Value {
    let mut schemas = description::event_shapes();
    if let Some(Value::Object(event)) = schemas.get_mut("Event") {
        // Each message says which event it is.
        event.remove("oneOf");
        event.remove("discriminator");
        event.insert("description".into(), "The members of every event.".into());
    }
    schemas.insert("Goodbye".into(), streams::goodbye_schema());
    schemas.extend(topic::shapes());
    let mut channels = streams::channels();
    channels.insert(topic::NAME.into(), topic::channel());
    let mut operations = streams::operations();
    operations.insert(format!("send-{}", topic::NAME), topic::operation());
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Convoke: live events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": { "http": {
            "host": "{host}",
            "protocol": "http",
            "description": "A server of Convoke",
            "variables": { "host": { "description": "Its name and port", "examples": ["127.0.0.1:8080"] } },
            "security": [{ "$ref": "#/components/securitySchemes/token" }],
        }, topic::SERVER: topic::server() },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages(),
            "schemas": schemas,
            "securitySchemes": { "token": openapi::token_scheme() },
        },
    })
}

/// As it is served and as it is kept in `docs/asyncapi.json`.
pub fn text() -> String {
    format!("{:#}\n", document())
}

/// One for each event, by its name, and the one that ends a stream.
fn messages() -> Map<String, Value> {
    let mut messages = Map::new();
    for kind in RoomEvent::catalogue() {
        let shape = shapes::name(&kind);
        let payload = json!({ "allOf": [
            { "$ref": "#/components/schemas/Event" },
            { "$ref": format!("#/components/schemas/{shape}") },
        ] });
        let mut schema = (kind.schema)().to_value();
        flow(&mut schema);
        messages.insert(kind.name.into(), streams::message(kind.name, &schema["description"], &payload));
    }
    let about =
        "The last message of a stream: the reason why it ends. Reconnect with the last id if appropriate.".into();
    let payload = json!({ "$ref": "#/components/schemas/Goodbye" });
    messages.insert(streams::GOODBYE.into(), streams::message(streams::GOODBYE, &about, &payload));
    messages.extend(topic::messages());
    messages
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::events::room::EventKind;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_no_shape_is_without_one() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(found.contains(format!("#/components/schemas/{name}").as_str()), "{name} is used by none");
        }
    }

    #[test]
    fn the_topic_carries_every_version_of_every_event() {
        let document = document();
        let carried = document["channels"]["topic"]["messages"].as_object().unwrap();
        for schema in crate::events::schemas::all() {
            let name = format!("record.{}.v{}", schema.event, schema.version);
            let message = &document["components"]["messages"][&name];
            assert!(carried.contains_key(&name), "{name}");
            assert_eq!(message["headers"]["properties"]["ce_dataschema"]["const"], schema.id());
        }
        assert_eq!(carried.len(), crate::events::schemas::all().len());
    }

    #[test]
    fn every_channel_carries_every_event_that_can_come_and_says_goodbye() {
        let document = document();
        for (name, channel) in document["channels"].as_object().unwrap().iter().filter(|(name, _)| *name != "topic") {
            let can_come = |kind: &EventKind| name == "events" || kind.is_of_rooms();
            let coming = RoomEvent::catalogue().into_iter().filter(can_come).map(|kind| kind.name);
            let names: BTreeSet<_> = coming.chain(["goodbye"]).map(str::to_owned).collect();
            let carried: BTreeSet<_> = channel["messages"].as_object().unwrap().keys().cloned().collect();
            assert_eq!(carried, names, "{name}");
        }
    }
}
