//! Bodies of a command: its own examples, with every field of it set to what matters to a rule.

use convoke::commands::command::CommandKind;
use serde_json::{Value, json};
use uuid::Uuid;

use super::rooms::Scene;

/// Bodies of one command, at most.
const MOST: usize = 2_000;

/// What a field of this name may hold; nothing: it stays as the examples have it. `Null`: it is left out.
fn values(field: &str, scene: &Scene) -> Vec<Value> {
    match field {
        "identity" => {
            let people = ["hanna", "mo", "sam", "vic", "wanda", "bea", "zoe"].map(|who| json!(who));
            [Value::Null].into_iter().chain(people).collect()
        }
        "role" => ["viewer", "speaker", "moderator", "host"].map(|role| json!(role)).into(),
        "message" | "reply_to" => {
            let known = scene.messages.iter().map(|version| json!(version));
            [Value::Null, json!(1), json!(999_999)].into_iter().chain(known).collect()
        }
        "track" => scene.tracks.iter().map(|track| json!(track)).chain([json!(Uuid::now_v7())]).collect(),
        "source" => ["microphone", "camera", "screen"].map(|source| json!(source)).into(),
        "to" => vec![Value::Null, json!("staff"), json!({ "identities": ["mo"] }), json!({ "identities": ["zoe"] })],
        "ban_s" => vec![Value::Null, json!(600)],
        "recording" => vec![Value::Null, json!(Uuid::now_v7())],
        "id" => vec![Value::Null, json!(scene.plain)],
        "name" => vec![Value::Null, json!(scene.taken_name)],
        "if_exists" => vec![Value::Null, json!("return")],
        _ => Vec::new(),
    }
}

/// All of them, each at most once.
pub fn of(kind: &CommandKind, scene: &Scene) -> Vec<Value> {
    let schema = (kind.schema)();
    let fields: Vec<String> = schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default();
    let mut bodies: Vec<Value> = (kind.examples)().into_iter().map(|example| example.body).collect();
    for field in fields {
        let values = values(&field, scene);
        if values.is_empty() {
            continue;
        }
        bodies = bodies.iter().flat_map(|body| values.iter().map(|value| with(body, &field, value))).collect();
        bodies.sort_by_key(Value::to_string);
        bodies.dedup();
    }
    assert!(bodies.len() <= MOST, "{} has {} bodies", kind.name, bodies.len());
    bodies
}

fn with(body: &Value, field: &str, value: &Value) -> Value {
    let mut body = body.clone();
    let fields = body.as_object_mut().expect("a body is an object");
    match value {
        Value::Null => drop(fields.remove(field)),
        value => drop(fields.insert(field.to_owned(), value.clone())),
    }
    body
}
