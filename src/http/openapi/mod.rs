//! What an OpenAPI 3.1 description is made of: the [`OpenApiDocument`], into which each route puts its [`Operation`]
//! and the schemas of what it reads and writes; the shapes of events and commands. It knows no route:
//! [`super::description`] puts the whole together.

mod catalogue;
mod commands;
mod operation;

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

pub use catalogue::describe as describe_event_shapes;
pub use commands::{CommandAnswer, command_headers, describe_command};
pub use operation::{Operation, OperationTag};

use crate::commands::refusal::RefusalCode;
use crate::events::schemas::flow;

/// What reads of one room may answer.
pub const ROOM_NOT_FOUND: &[RefusalCode] = &[RefusalCode::RoomNotFound];

/// The description while it is put together.
#[derive(Default)]
pub struct OpenApiDocument {
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: BTreeMap<String, Value>,
    /// Types of different shape under one name.
    pub(super) clashes: Vec<String>,
}

impl OpenApiDocument {
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

    /// The schemas alone, by name.
    pub fn into_schemas(self) -> BTreeMap<String, Value> {
        self.schemas
    }

    /// The whole document.
    pub fn finish(mut self) -> Value {
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
            "tags": OperationTag::ALL.map(|tag| json!({ "name": tag.name(), "description": tag.about() })),
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
