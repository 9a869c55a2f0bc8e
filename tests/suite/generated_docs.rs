//! Pages of `docs/` and schemas that the code itself writes. Each test compares a file with what the code says now; with
//! `CONVOKE_BLESS=1` in the environment it writes the file instead.

mod asyncapi;
mod commands;
mod configuration;
mod events;
mod metrics;
mod openapi;
mod problems;
mod schema;
mod schemas;

use std::path::PathBuf;

/// Compares `docs/<name>` with `text`, or writes it.
fn check(name: &str, text: &str) {
    check_file(&format!("docs/{name}"), text);
}

/// As [`check`], for any file of the house.
fn check_file(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var_os("CONVOKE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    let first = present.lines().zip(text.lines()).position(|(a, b)| a != b);
    let line = first.unwrap_or_else(|| present.lines().count().min(text.lines().count()));
    assert!(
        present == text,
        "{name} is out of date at line {}: CONVOKE_BLESS=1 cargo test --test suite generated_docs\n  is:     {}\n  should: {}",
        line + 1,
        present.lines().nth(line).unwrap_or("(end)"),
        text.lines().nth(line).unwrap_or("(end)"),
    );
}
