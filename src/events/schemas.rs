//! A JSON Schema (2020-12) for the `data` of every event in every version ever written, kept under `kafka/schemas/` for
//! programs that are made from schemas.
//!
//! The newest version is described by its type. Of an older one there is no type any more, upcasters know how to read it and
//! no more: the file made while it was the newest is kept as it was, and brought into the program from there. Nothing changes
//! such a file.

use serde_json::Value;

use super::room::RoomEvent;

/// Shapes that are read and no longer written.
const KEPT: &[(&str, u16, &str)] =
    &[("room.track-published", 1, include_str!("../../kafka/schemas/room.track-published.v1.json"))];

/// The shape of `data` of one event in one version.
pub struct DataSchema {
    pub event: &'static str,
    pub version: u16,
    /// Whether this program writes it; else it only reads it.
    pub newest: bool,
    /// The file's text.
    pub text: String,
}

impl DataSchema {
    /// Its name under `kafka/schemas/`.
    pub fn file(&self) -> String {
        format!("{}.v{}.json", self.event, self.version)
    }

    /// What it is called in itself, and in the header `ce_dataschema` of records.
    pub fn id(&self) -> String {
        id(self.event, self.version)
    }
}

/// The `$id` of the schema of an event.
pub fn id(event: &str, version: u16) -> String {
    format!("urn:convoke:event:{event}:v{version}")
}

/// Every event in the order of the catalogue, the newest version of each before the older ones.
pub fn all() -> Vec<DataSchema> {
    let mut all = Vec::new();
    for kind in RoomEvent::catalogue() {
        let mut schema = (kind.schema)().to_value();
        flow(&mut schema);
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("$id".into(), id(kind.name, kind.version).into());
            fields.insert("title".into(), format!("{}, version {}", kind.name, kind.version).into());
        }
        let text = format!("{schema:#}\n");
        all.push(DataSchema { event: kind.name, version: kind.version, newest: true, text });
        let kept = KEPT.iter().filter(|(event, ..)| *event == kind.name);
        all.extend(kept.map(|&(event, version, text)| DataSchema { event, version, newest: false, text: text.into() }));
    }
    all
}

/// The line breaks of the sources are none of the reader's; those between paragraphs stay.
pub fn flow(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                let paragraphs: Vec<_> = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect();
                *text = paragraphs.join("\n\n");
            }
            fields.values_mut().for_each(flow);
        }
        Value::Array(items) => items.iter_mut().for_each(flow),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
