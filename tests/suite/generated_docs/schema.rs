//! JSON Schemas told in Markdown: a table of fields, and one more for each named shape that they use.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value};

/// The fields of an object schema as a table; "No data." where it has none.
pub fn fields(schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object().filter(|p| !p.is_empty()) else {
        return "No data.\n".into();
    };
    let required: BTreeSet<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut table = String::from("| field | type | |\n|---|---|---|\n");
    for (name, property) in properties {
        let presence = if required.contains(name.as_str()) { "" } else { " (optional)" };
        let about = about(property).unwrap_or_default();
        writeln!(table, "| `{name}`{presence} | {} | {} |", kind(property), cell(&about)).unwrap();
    }
    table
}

/// The named shapes that a schema brings along (`$defs`), those they use included.
pub fn named(schema: &Value) -> Map<String, Value> {
    schema["$defs"].as_object().cloned().unwrap_or_default()
}

/// What the schema says of itself.
pub fn about(schema: &Value) -> Option<String> {
    schema["description"].as_str().map(|text| text.replace('\n', " "))
}

/// A named shape as a section: its choices, its fields, or its type.
pub fn shape(name: &str, schema: &Value) -> String {
    let mut section = format!("### {name}\n\n");
    if let Some(about) = about(schema) {
        write!(section, "{about}\n\n").unwrap();
    }
    if schema["properties"].is_object() {
        section.push_str(&fields(schema));
    } else if let Some(choices) = schema["oneOf"].as_array() {
        choices.iter().for_each(|choice| choices_of(choice, &mut section));
    } else if schema["enum"].is_array() {
        choices_of(schema, &mut section);
    } else {
        writeln!(section, "{}", capital(&kind(schema))).unwrap();
    }
    section
}

fn choices_of(choice: &Value, section: &mut String) {
    let about = about(choice).map(|text| format!(": {text}")).unwrap_or_default();
    if let Some(word) = choice["const"].as_str() {
        writeln!(section, "- `\"{word}\"`{about}").unwrap();
    } else if let Some(words) = choice["enum"].as_array() {
        words.iter().for_each(|word| writeln!(section, "- `{word}`").unwrap());
    } else if let Some(properties) = choice["properties"].as_object() {
        let members: Vec<String> = properties.iter().map(|(name, p)| format!("`{name}`: {}", kind(p))).collect();
        writeln!(section, "- an object of {}{about}", members.join(", ")).unwrap();
    }
}

/// A type in a few words: `string`, `list of Role`, `integer 1 to 100000 or null`.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return "any JSON".into(),
    };
    types.into_iter().map(|one| kind_of(one, schema)).collect::<Vec<_>>().join(" or ")
}

fn kind_of(one: &str, schema: &Value) -> String {
    let range = |unit: &str, least: &str, most: &str| match (schema[least].as_u64(), schema[most].as_u64()) {
        (Some(least), Some(most)) => format!("{one} of {least} to {most}{unit}"),
        _ => one.to_owned(),
    };
    match (one, schema["format"].as_str()) {
        ("string", Some("date-time")) => "time".into(),
        ("string", Some("uuid")) => "UUID".into(),
        ("string", _) => range(" characters", "minLength", "maxLength"),
        ("integer", _) => range("", "minimum", "maximum"),
        ("array", _) => format!("list of {}", kind(&schema["items"])),
        ("object", _) if schema["additionalProperties"].is_object() => {
            format!("object of {}", kind(&schema["additionalProperties"]))
        }
        _ => one.to_owned(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
