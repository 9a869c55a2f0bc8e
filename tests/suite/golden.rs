//! The golden events: for every event and every version of its shape ever written, stored `data` as it lies in somebody's
//! log. A file is never edited once a program wrote its version to a log; a new shape is a new version and a new file, and
//! the old file then gains `reads_as`, what the upcaster must make of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use convoke::events::room::DecodeError;
use convoke::events::room::RoomEvent;
use convoke::events::schemas::{self, DataSchema};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One file: an event in one version of its shape.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    pub event: String,
    pub version: u16,
    pub variants: Vec<Variant>,
}

/// `data` is the exact text that is stored. `reads_as` is its newest shape, where that is another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub about: String,
    pub data: Box<RawValue>,
    pub reads_as: Option<Box<RawValue>>,
}

impl Golden {
    /// `None` where there is no such file.
    pub fn load(event: &str, version: u16) -> Option<Golden> {
        let path = folder().join(format!("{event}.v{version}.json"));
        let text = std::fs::read_to_string(&path).ok()?;
        let golden: Golden = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!((golden.event.as_str(), golden.version), (event, version), "{} speaks of itself", path.display());
        Some(golden)
    }

    fn decode(&self, variant: &Variant) -> RoomEvent {
        RoomEvent::decode(&self.event, self.version, variant.data.get())
            .unwrap_or_else(|e| panic!("{} v{} ({}): {e}", self.event, self.version, variant.about))
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/events")
}

/// Every event in every version from 1 to the newest.
fn all() -> Vec<Golden> {
    let versions = RoomEvent::catalogue().into_iter().flat_map(|kind| (1..=kind.version).map(move |v| (kind.name, v)));
    let goldens = versions.map(|(name, version)| {
        Golden::load(name, version).unwrap_or_else(|| {
            panic!("tests/golden/events/{name}.v{version}.json is missing: write down what is stored")
        })
    });
    goldens.collect()
}

#[test]
fn every_event_and_version_has_a_golden_file_with_variants_and_there_are_no_others() {
    let known: BTreeSet<String> = all().iter().map(|g| format!("{}.v{}.json", g.event, g.version)).collect();
    let present: BTreeSet<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(present, known);
    assert!(all().iter().all(|golden| !golden.variants.is_empty()));
}

#[test]
fn what_was_stored_reads_as_it_always_did_and_is_written_again_to_the_letter() {
    for golden in all() {
        for variant in &golden.variants {
            let event = golden.decode(variant);
            assert_eq!(event.name(), golden.event);
            let expected = variant.reads_as.as_ref().unwrap_or(&variant.data).get();
            let written = event.to_json().unwrap();
            assert_eq!(written, expected, "{} v{} ({})", golden.event, golden.version, variant.about);
            let again = RoomEvent::decode(event.name(), event.version(), &written).unwrap();
            assert_eq!(again, event, "{} v{} ({})", golden.event, golden.version, variant.about);
        }
    }
}

#[test]
fn only_an_old_version_reads_as_something_else() {
    for kind in RoomEvent::catalogue() {
        let newest = Golden::load(kind.name, kind.version).unwrap();
        assert!(newest.variants.iter().all(|v| v.reads_as.is_none()), "{} v{}", kind.name, kind.version);
        for version in 1..kind.version {
            let old = Golden::load(kind.name, version).unwrap();
            assert!(old.variants.iter().all(|v| v.reads_as.is_some()), "{} v{version}: reads_as", kind.name);
        }
    }
}

#[test]
fn there_is_a_schema_of_every_event_and_version() {
    let described: BTreeSet<_> = schemas::all().iter().map(|shape| (shape.event, shape.version)).collect();
    let versions = RoomEvent::catalogue().into_iter().flat_map(|kind| (1..=kind.version).map(move |v| (kind.name, v)));
    assert_eq!(described, versions.collect());
}

#[test]
fn the_golden_files_show_every_field_and_every_choice_of_every_shape() {
    for shape in schemas::all() {
        let mut wanted = BTreeSet::new();
        words_of_schema(&schema(&shape), &mut wanted);
        let mut shown = BTreeSet::new();
        for variant in &Golden::load(shape.event, shape.version).unwrap().variants {
            words_of_data(&serde_json::from_str(variant.data.get()).unwrap(), &mut shown);
        }
        let missing: Vec<_> = wanted.difference(&shown).collect();
        assert!(missing.is_empty(), "{} v{}: no variant has {missing:?}", shape.event, shape.version);
    }
}

#[test]
fn what_is_written_and_ever_was_has_the_shape_that_its_schema_tells() {
    for shape in schemas::all() {
        let schema = schema(&shape);
        let told = jsonschema::draft202012::new(&schema).unwrap();
        for variant in &Golden::load(shape.event, shape.version).unwrap().variants {
            let data: Value = serde_json::from_str(variant.data.get()).unwrap();
            let faults: Vec<_> = told.iter_errors(&data).map(|e| format!("{} {e}", e.instance_path())).collect();
            assert!(faults.is_empty(), "{} v{} ({}): {faults:#?}", shape.event, shape.version, variant.about);
            let fields = data.as_object().unwrap().keys();
            let untold: Vec<_> = fields.filter(|field| schema["properties"].get(field).is_none()).collect();
            assert!(untold.is_empty(), "{} v{} ({}): {untold:?}", shape.event, shape.version, variant.about);
        }
    }
}

#[test]
fn no_schema_takes_what_lacks_a_field_that_is_always_written() {
    for shape in schemas::all() {
        let schema = schema(&shape);
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        let told = jsonschema::draft202012::new(&schema).unwrap();
        let golden = Golden::load(shape.event, shape.version).unwrap();
        let data: Value = serde_json::from_str(golden.variants[0].data.get()).unwrap();
        for field in schema["required"].as_array().into_iter().flatten().map(|field| field.as_str().unwrap()) {
            let mut without = data.clone();
            without.as_object_mut().unwrap().remove(field);
            assert!(!told.is_valid(&without), "{} v{} without {field}", shape.event, shape.version);
        }
    }
}

fn schema(shape: &DataSchema) -> Value {
    serde_json::from_str(&shape.text).unwrap_or_else(|e| panic!("{}: {e}", shape.file()))
}

/// The names of fields and the fixed strings that a schema speaks of.
fn words_of_schema(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Object(members) => {
            for (key, member) in members {
                match (key.as_str(), member) {
                    ("properties", Value::Object(fields)) => words.extend(fields.keys().cloned()),
                    ("const", Value::String(word)) => drop(words.insert(word.clone())),
                    ("enum", Value::Array(choices)) => {
                        words.extend(choices.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("default" | "description", _) => continue,
                    _ => {}
                }
                words_of_schema(member, words);
            }
        }
        Value::Array(members) => members.iter().for_each(|member| words_of_schema(member, words)),
        _ => {}
    }
}

fn words_of_data(data: &Value, words: &mut BTreeSet<String>) {
    match data {
        Value::Object(members) => {
            words.extend(members.keys().cloned());
            members.values().for_each(|member| words_of_data(member, words));
        }
        Value::Array(members) => members.iter().for_each(|member| words_of_data(member, words)),
        Value::String(word) => drop(words.insert(word.clone())),
        _ => {}
    }
}

#[test]
fn the_resolution_of_an_old_track_becomes_its_width_and_height() {
    let old = Golden::load("room.track-published", 1).unwrap();
    assert!(old.variants[0].data.get().contains(r#""resolution":"1280x720""#));
    let RoomEvent::TrackPublished(camera) = old.decode(&old.variants[0]) else { panic!("another event") };
    assert_eq!((camera.width, camera.height), (Some(1280), Some(720)));
    let RoomEvent::TrackPublished(screen) = old.decode(&old.variants[2]) else { panic!("another event") };
    assert_eq!((screen.width, screen.height), (None, None));
}

#[test]
fn what_no_program_has_written_yet_is_not_guessed_at() {
    let decode = RoomEvent::decode;
    assert!(matches!(decode("room.painted", 1, "{}"), Err(DecodeError::UnknownType)));
    assert!(matches!(decode("room.locked", 2, "{}"), Err(DecodeError::UnknownVersion { newest: 1 })));
    assert!(matches!(decode("room.track-published", 0, "{}"), Err(DecodeError::UnknownVersion { newest: 2 })));
    assert!(matches!(decode("room.hand-raised", 1, "{}"), Err(DecodeError::Shape(_))));
    assert!(matches!(decode("room.track-published", 1, "[]"), Err(DecodeError::Shape(_))));
}
