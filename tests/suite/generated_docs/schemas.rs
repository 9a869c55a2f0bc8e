//! `kafka/schemas/`: the shape of every event in every version.

use std::collections::BTreeSet;
use std::path::PathBuf;

use convoke::events::schemas;
use sha2::{Digest as _, Sha256};

/// Shapes that are no longer written, by the digest of their file: events of them lie in somebody's log for good, so these
/// files are never made anew and never edited.
const KEPT: &[(&str, &str)] =
    &[("room.track-published.v1.json", "5e69b7d27d5e9058efc90ed54a71033959e2d29e5f8b3e9e680f9564f11e7047")];

#[test]
fn the_schemas_of_events_are_those_of_the_code_and_there_are_no_others() {
    let all = schemas::all();
    for shape in all.iter().filter(|shape| shape.newest) {
        super::check_file(&format!("kafka/schemas/{}", shape.file()), &shape.text);
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kafka/schemas");
    let present: BTreeSet<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(present, all.iter().map(|shape| shape.file()).collect());
}

#[test]
fn a_schema_that_is_no_longer_written_stays_as_it_was() {
    let old: Vec<_> = schemas::all().into_iter().filter(|shape| !shape.newest).collect();
    let now: Vec<_> = old.iter().map(|shape| (shape.file(), digest(&shape.text))).collect();
    let kept: Vec<_> = KEPT.iter().map(|(file, digest)| (file.to_string(), digest.to_string())).collect();
    assert_eq!(now, kept);
}

fn digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
