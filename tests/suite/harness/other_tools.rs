//! Tools of other makers that tests look through: Python with DuckDB, pandas and moto, and Node (scripts/python.sh).

use std::path::{Path, PathBuf};
use std::process::Command;

/// The tests' own interpreter of Python.
pub fn python() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/python.sh");
    let found = Command::new(script).arg("where").output().unwrap();
    let path = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    assert!(path.exists(), "{} is not there: run `make servers`", path.display());
    path
}

/// The tests' own Node, with its packages.
pub fn node() -> Command {
    let python = python();
    let programs = python.parent().unwrap();
    let mut node = Command::new(programs.join("node"));
    node.env("NODE_PATH", programs.join("../node/node_modules"));
    node
}
