//! Generates bodies of commands from their JSON Schemas. Most ids belong to the room, so that commands often have something to
//! act on; some do not.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use crate::commands::room::testing::{numbered, room_id};
use crate::events::time::Timestamp;
use crate::ids::RoomVersion;

/// Everybody who may ever be in a room.
pub const PEOPLE: [&str; 5] = ["ann", "bob", "cid", "dan", "eve"];

/// What a body may speak of.
pub struct Things {
    pub now: Timestamp,
    /// Who waits or is banned.
    pub outside: Vec<String>,
    pub sessions: Vec<String>,
    pub tracks: Vec<String>,
    pub recordings: Vec<String>,
    pub messages: Vec<RoomVersion>,
}

pub struct Bodies<'a> {
    pub root: &'a Value,
    pub things: &'a Things,
    pub dice: Dice,
}

impl Bodies<'_> {
    pub fn of(&mut self, schema: &Value, field: &str) -> Value {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.named(reference, field);
        }
        if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
            // `null` is what an absent field is; that is chosen with the object.
            let choices: Vec<&Value> = choices.iter().filter(|choice| choice["type"] != "null").collect();
            return self.dice.pick(&choices).map_or(Value::Null, |choice| self.of(choice, field));
        }
        if let Some(choices) = schema["enum"].as_array() {
            return self.dice.pick(choices).cloned().unwrap_or_default();
        }
        if let Some(constant) = schema.get("const") {
            return constant.clone();
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            one => vec![one.clone()],
        };
        let kind = self.dice.pick(&types).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.of_type(&kind, schema, field)
    }

    fn of_type(&mut self, kind: &str, schema: &Value, field: &str) -> Value {
        match kind {
            "null" => Value::Null,
            "boolean" => Value::Bool(self.dice.once_in(2)),
            "integer" => self.integer(schema, field),
            "string" => self.string(schema, field),
            "array" => {
                let count = self.dice.roll(4);
                Value::Array((0..count).map(|_| self.of(&schema["items"], field)).collect())
            }
            "object" => self.object(schema),
            _ => json!({ "any": [self.dice.roll(3)] }),
        }
    }

    fn object(&mut self, schema: &Value) -> Value {
        let mut object = Map::new();
        if schema["additionalProperties"].is_object() {
            object.insert("team".into(), self.of(&schema["additionalProperties"], "label"));
        }
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            if required.iter().any(|name| name == field) || field == "settings" || self.dice.once_in(4) {
                object.insert(field.clone(), self.of(property, field));
            }
        }
        Value::Object(object)
    }

    fn integer(&mut self, schema: &Value, field: &str) -> Value {
        let least = schema["minimum"].as_u64().unwrap_or(0);
        match field {
            "message" | "reply_to" => match self.dice.pick(&self.things.messages) {
                Some(message) if !self.dice.once_in(8) => json!(message),
                _ => json!(1 + self.dice.roll(40)),
            },
            "max_participants" => json!(1 + self.dice.roll(PEOPLE.len())),
            _ => json!(least + self.dice.roll(300) as u64),
        }
    }

    fn string(&mut self, schema: &Value, field: &str) -> Value {
        match schema["format"].as_str() {
            Some("date-time") => json!(self.things.now.plus_seconds(self.dice.roll(600) as i64 - 200)),
            _ => json!(format!("{field} {}", self.dice.roll(3))),
        }
    }

    fn named(&mut self, reference: &str, field: &str) -> Value {
        match reference.rsplit('/').next().unwrap_or_default() {
            "Identity" => match self.dice.pick(&self.things.outside) {
                Some(outside) if self.dice.once_in(3) => json!(outside),
                _ => json!(self.dice.pick(&PEOPLE)),
            },
            "RoomId" => json!(room_id()),
            "SessionId" => self.id(&self.things.sessions),
            "TrackId" => self.id(&self.things.tracks),
            "RecordingId" => self.id(&self.things.recordings),
            _ => {
                let shape = self.root.pointer(reference.trim_start_matches('#')).cloned().unwrap_or_default();
                self.of(&shape, field)
            }
        }
    }

    fn id(&mut self, ids: &[String]) -> Value {
        match self.dice.pick(ids) {
            Some(id) if !self.dice.once_in(8) => json!(id),
            _ => json!(numbered("nothing")),
        }
    }
}
