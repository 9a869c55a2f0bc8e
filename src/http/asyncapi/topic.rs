//! The Kafka topic as a channel: CloudEvents in binary mode, one message for each event and each version of its shape.

use serde_json::{Map, Value, json};

use crate::config::settings;
use crate::events::schemas::{self, DataSchema};
use crate::events::topic::record::HEADERS;

/// The channel, and the server that it is on.
pub const NAME: &str = "topic";
pub const SERVER: &str = "kafka";

pub fn server() -> Value {
    json!({
        "host": "{brokers}",
        "protocol": "kafka",
        "description": format!("The Kafka cluster that `{}` names", settings::KAFKA_BROKERS.name),
        "variables": { "brokers": {
            "description": "Names and ports of brokers, separated by commas",
            "examples": ["127.0.0.1:9092"],
        } },
    })
}

pub fn channel() -> Value {
    let message = |name: String| {
        let reference = json!({ "$ref": format!("#/components/messages/{name}") });
        (name, reference)
    };
    json!({
        "address": "convoke.events",
        "title": "The log as a Kafka topic",
        "description": format!(
            "What happens in all rooms of all tenants, copied from the log: every event once for readers with \
             `isolation.level=read_committed`, in the order of its room, which is the record's key. Records are CloudEvents 1.0.2 in \
             the binary mode of their Kafka binding: the value is the event's data, everything else stands in headers. Events keep \
             the version of their shape that they were written in.\n\nThe name begins with `{}`. Its partitions, retention and \
             settings are declared in `kafka/topics.toml`. Records run out of their retention; the log keeps everything.",
            settings::KAFKA_PREFIX.name
        ),
        "servers": [{ "$ref": format!("#/servers/{SERVER}") }],
        "messages": schemas::all().iter().map(|schema| message(message_name(schema))).collect::<Map<_, _>>(),
        "bindings": { "kafka": {
            "topic": "convoke.events",
            "partitions": 12,
            "bindingVersion": "0.5.0",
        } },
    })
}

pub fn operation() -> Value {
    let place = format!("#/channels/{NAME}");
    let name = |schema: &DataSchema| json!({ "$ref": format!("{place}/messages/{}", message_name(schema)) });
    json!({
        "action": "send",
        "channel": { "$ref": place },
        "title": "The log as a Kafka topic",
        "description": "Read with `isolation.level=read_committed`: transactions that were given up leave records behind which \
            others would see. Within a room `ce_roomversion` rises by one; a consumer that keeps state keeps the last one it took, \
            and its offset with it, in one transaction. Where `ce_epoch` changes and positions step back, the log was restored and \
            what was taken after the step is void.",
        "messages": schemas::all().iter().map(name).collect::<Vec<_>>(),
    })
}

/// `record.room.hand-raised.v1`
fn message_name(schema: &DataSchema) -> String {
    format!("record.{}.v{}", schema.event, schema.version)
}

/// Where the shape of the value lies among the components.
fn shape_name(schema: &DataSchema) -> String {
    format!("data.{}.v{}", schema.event, schema.version)
}

pub fn messages() -> impl Iterator<Item = (String, Value)> {
    schemas::all().into_iter().map(|schema| (message_name(&schema), message(&schema)))
}

fn message(schema: &DataSchema) -> Value {
    let value: Value = serde_json::from_str(&schema.text).expect("the schemas are JSON");
    json!({
        "name": schema.event,
        "title": format!("{}, version {}", schema.event, schema.version),
        "summary": value["description"],
        "contentType": "application/json",
        "headers": headers(schema),
        "payload": { "$ref": format!("#/components/schemas/{}", shape_name(schema)) },
        "bindings": { "kafka": {
            "key": { "type": "string", "format": "uuid", "description": "The room; the nil UUID where it is of the tenant itself" },
            "bindingVersion": "0.5.0",
        } },
    })
}

fn headers(schema: &DataSchema) -> Value {
    let property = |about: &crate::events::topic::record::HeaderSpec| {
        let mut property = json!({ "type": "string", "description": about.about, "examples": [about.example] });
        let said = match about.name {
            "ce_type" => Some(schema.event.to_owned()),
            "ce_dataschema" => Some(schema.id()),
            "ce_specversion" | "content-type" => Some(about.example.to_owned()),
            _ => None,
        };
        if let Some(said) = said {
            property = json!({ "const": said, "description": about.about });
        }
        (about.name.to_owned(), property)
    };
    json!({
        "type": "object",
        "description": "Attributes of CloudEvents, and extensions to them.",
        "required": HEADERS.iter().filter(|about| about.always).map(|about| about.name).collect::<Vec<_>>(),
        "properties": HEADERS.iter().map(property).collect::<Map<_, _>>(),
    })
}

/// The shapes of values, each with what it refers to.
pub fn shapes() -> impl Iterator<Item = (String, Value)> {
    schemas::all().into_iter().map(|schema| {
        let name = shape_name(&schema);
        let mut value: Value = serde_json::from_str(&schema.text).expect("the schemas are JSON");
        if let Some(fields) = value.as_object_mut() {
            // Inside another document they would move what references lead to.
            fields.remove("$id");
            fields.remove("$schema");
        }
        lead_home(&mut value, &format!("#/components/schemas/{name}/$defs/"));
        (name, value)
    })
}

/// References lead to where the definitions lie now.
fn lead_home(value: &mut Value, home: &str) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref") {
                *reference = reference.replace("#/$defs/", home);
            }
            fields.values_mut().for_each(|value| lead_home(value, home));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| lead_home(value, home)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
