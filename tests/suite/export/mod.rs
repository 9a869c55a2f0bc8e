//! Events written out: what the API shows, whole, in order, once, however it ends.

mod endings;
mod interrupted;
mod selected;

use std::io::Read as _;
use std::path::Path;

use convoke::commands::import::ImportSource;
use serde_json::Value;

use crate::harness::{Run, TestDb};

pub fn export(db: &TestDb, args: &[&str]) -> Run {
    Run::on(db).args(["export"]).args(args.iter().copied())
}

/// What a file holds, unpacked as an import would.
pub fn text(file: &Path) -> String {
    let mut text = String::new();
    ImportSource::File(file.into()).open().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text
}

pub fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn positions(text: &str) -> Vec<u64> {
    lines(text).iter().map(|line| line["position"].as_u64().unwrap()).collect()
}
