//! The OpenAPI 3.1 description, made from the code: each route describes itself beside its handler, each command comes out of
//! the catalogue of commands, schemas come from the types that are read and written. Served at `/openapi.json`, kept in
//! `docs/openapi.json`, browsed at `/docs`.

mod catalogue;
mod commands;
mod events;
mod operation;
pub mod page;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

pub use crate::events::room::shapes::name as event_shape_name;
pub use commands::{CommandAnswer, command_headers, describe_command};
pub use events::{cursor_about, describe_events};
pub use operation::{Operation, Tag};

use crate::commands::refusal::RefusalCode;
use crate::events::schemas::flow;
use crate::http::routes;
use crate::live::event_view::EventView;

/// What reads of one room may answer.
pub const ROOM_NOT_FOUND: &[RefusalCode] = &[RefusalCode::RoomNotFound];

/// The description while it is put together.
pub struct Document {
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: BTreeMap<String, Value>,
    /// Types of different shape under one name.
    clashes: Vec<String>,
}

impl Document {
    fn new() -> Self {
        Self { paths: BTreeMap::new(), schemas: BTreeMap::new(), clashes: Vec::new() }
    }

    /// The schema of what is answered, kept once for the whole document.
    pub fn answer<T: JsonSchema>(&mut self) -> Value {
        let settings = SchemaSettings::draft2020_12().for_serialize();
        self.keep(settings.into_generator().into_root_schema_for::<T>())
    }

    /// The schema of what is answered, to be kept under another name; the parts it is made of are kept.
    fn answer_apart<T: JsonSchema>(&mut self) -> Value {
        let Value::Object(reference) = self.answer::<T>() else { return Value::Null };
        let name = reference.get("$ref").and_then(Value::as_str).and_then(|reference| reference.rsplit('/').next());
        name.and_then(|name| self.schemas.get(name)).cloned().unwrap_or_default()
    }

    /// The schema of what is sent, kept once for the whole document.
    pub fn request<T: JsonSchema>(&mut self) -> Value {
        self.keep(SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>())
    }

    /// Takes a schema apart into those it is made of, and refers to it by its title.
    fn keep(&mut self, schema: Schema) -> Value {
        let mut schema = schema.to_value();
        flow(&mut schema);
        tidy(&mut schema);
        let Some(root) = schema.as_object_mut() else { return schema };
        root.remove("$schema");
        if let Some(Value::Object(parts)) = root.remove("$defs") {
            for (name, part) in parts {
                self.keep_as(name, part);
            }
        }
        match root.get("title").and_then(Value::as_str).map(str::to_owned) {
            Some(title) if title.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                self.keep_as(title.clone(), schema);
                json!({ "$ref": format!("#/components/schemas/{title}") })
            }
            _ => schema,
        }
    }

    fn keep_as(&mut self, name: String, mut schema: Value) {
        if let Some(fields) = schema.as_object_mut() {
            fields.remove("title");
        }
        let kept = self.schemas.entry(name.clone()).or_insert_with(|| schema.clone());
        if *kept != schema {
            self.clashes.push(name);
        }
    }

    pub fn add(&mut self, path: &str, operation: Operation) {
        let (method, operation) = operation.finish(path);
        self.paths.entry(path.to_owned()).or_default().insert(method.into(), operation);
    }

    fn finish(mut self) -> Value {
        self.schemas.insert("Problem".into(), operation::problem_schema());
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Convoke",
                "version": env!("CARGO_PKG_VERSION"),
                "description": ABOUT,
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/", "description": "This server" }],
            "tags": Tag::ALL.map(|tag| json!({ "name": tag.name(), "description": tag.about() })),
            "security": [{ "token": [] }],
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "responses": operation::shared_responses(),
                "parameters": operation::shared_parameters(),
                "headers": operation::shared_headers(),
                "examples": operation::shared_examples(),
                "securitySchemes": { "token": token_scheme() },
            },
        })
    }
}

const ABOUT: &str = "Live rooms, event-sourced: commands are posted, what happened is one ordered log, and everything that is \
    read or streamed is derived from it.\n\nAn answer to a command is given when its events are durable. It carries the room's \
    version (also as `ETag`) and the position in the log (`Convoke-Position`); a read that names that position in `at_least` \
    never shows anything older. A command sent again under the same `Idempotency-Key` is answered as it was the first time.\n\n\
    Events have a `type` and a `type_version` that never change their meaning, and `data` of the shape that goes with them. A \
    reader must go on at a type, and at fields, that it does not know: a newer server may write to the same log.\n\n\
    What is not done is told as a problem (RFC 9457) with a code that never changes its meaning.";

/// schemars keeps the parts of a schema under `$defs`, the document has one place for all.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref")
                && let Some(name) = reference.strip_prefix("#/$defs/")
            {
                *reference = format!("#/components/schemas/{name}");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// How callers show who they are.
pub fn token_scheme() -> Value {
    json!({
        "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
        "description": "A JWT (RFC 7519) with `tenant`, `exp` and `grants`; `convoke token create` makes one",
    })
}

/// The shapes of events and of all that they are made of: `Event`, what callers see of any, and for each kind what it has of
/// its own, under its [`event_shape_name`].
pub fn event_shapes() -> BTreeMap<String, Value> {
    let mut document = Document::new();
    catalogue::describe(&mut document);
    document.answer::<EventView<'static>>();
    document.schemas
}

/// The whole description.
pub fn document() -> Value {
    let mut document = Document::new();
    describe(&mut document);
    document.finish()
}

fn describe(document: &mut Document) {
    catalogue::describe(document);
    routes::describe(document);
    commands::describe(document);
}

/// As it is served and as it is kept in `docs/openapi.json`.
pub fn text() -> String {
    format!("{:#}\n", document())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::commands::room::RoomCommand;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    found.insert(reference);
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
    }

    #[test]
    fn one_name_stands_for_one_shape() {
        let mut document = Document::new();
        describe(&mut document);
        assert_eq!(document.clashes, [""; 0]);
    }

    #[test]
    fn every_command_is_an_operation_with_schema_examples_and_refusals() {
        let document = document();
        for kind in RoomCommand::catalogue() {
            let operation = &document["paths"][format!("/v1/rooms/{{room}}/commands/{}", kind.name)]["post"];
            let body = &operation["requestBody"]["content"]["application/json"];
            assert!(body["schema"]["$ref"].is_string(), "{}: {operation:#}", kind.name);
            assert!(body["examples"].as_object().is_some_and(|examples| !examples.is_empty()), "{}", kind.name);
            for code in kind.refusals {
                let answer = &operation["responses"][code.status().to_string()]["content"]["application/problem+json"];
                assert!(answer["examples"][code.as_str()]["$ref"].is_string(), "{} {code}", kind.name);
            }
        }
    }

    #[test]
    fn a_command_is_answered_with_the_events_that_it_can_lead_to_and_their_shapes() {
        let document = document();
        for kind in RoomCommand::catalogue() {
            let operation = &document["paths"][format!("/v1/rooms/{{room}}/commands/{}", kind.name)]["post"];
            let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"];
            let answer = document.pointer(&answer["$ref"].as_str().unwrap()[1..]).unwrap();
            let written = answer["properties"]["events"]["items"]["oneOf"].as_array().unwrap();
            let mut named: Vec<_> = written
                .iter()
                .map(|event| &document.pointer(&event["$ref"].as_str().unwrap()[1..]).unwrap()["properties"])
                .map(|fields| {
                    assert!(fields["type_version"]["const"].is_u64() && fields["data"]["$ref"].is_string(), "{fields}");
                    fields["type"]["const"].as_str().unwrap()
                })
                .collect();
            let mut told = kind.events.to_vec();
            named.sort_unstable();
            told.sort_unstable();
            assert_eq!(named, told, "{}", kind.name);
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let document = document();
        let mut seen = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let name = operation["operationId"].as_str().unwrap();
                assert!(seen.insert(name.to_owned()), "{name} stands twice");
            }
        }
    }
}
