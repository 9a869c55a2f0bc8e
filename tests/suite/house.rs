//! The sources keep the rules of the house: which part may use which, who reads the environment and the clock.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use graph::Graph;

mod graph;
mod uses;

/// Each part under `src/`, and the parts it may use besides itself, all of them further down. `cli` is the wiring and
/// may use all.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "http",
        &[
            "commands",
            "config",
            "events",
            "ids",
            "json",
            "live",
            "projections",
            "resilience",
            "security",
            "tasks",
            "telemetry",
        ],
    ),
    (
        "live",
        &["commands", "config", "database", "events", "ids", "projections", "resilience", "security", "telemetry"],
    ),
    ("commands", &["config", "events", "ids", "json", "security", "telemetry"]),
    ("projections", &["config", "database", "events", "ids", "json", "resilience", "security", "telemetry"]),
    ("security", &["config", "database", "events", "ids", "json", "telemetry"]),
    ("events", &["config", "database", "ids", "json", "resilience", "telemetry"]),
    ("resilience", &["config", "tasks", "telemetry"]),
    ("database", &["config", "ids"]),
    ("telemetry", &["config", "tasks"]),
    ("config", &["ids"]),
    ("ids", &["json"]),
    ("json", &[]),
    ("tasks", &[]),
];

/// Comments give reasons; code that is long is split by meaning.
const LONGEST_FILE: usize = 450;

struct Source {
    /// From `src/`, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// Lines of code with their numbers, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(number, line)| (number + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// The part of `src/` that a file belongs to.
fn part(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
                sources.push(Source { path, text });
            }
        }
    }
    assert!(sources.len() > 50, "the sources are where this test looks for them");
    sources
}

/// The sources, and which of them uses which.
fn house() -> Graph {
    let sources = sources();
    Graph::new(sources.iter().map(|source| (source.path.as_str(), source.text.as_str())))
}

#[test]
fn each_part_uses_only_the_parts_it_may() {
    let graph = house();
    let mut faults = Vec::new();
    for one in &graph.uses {
        let (part, named) = (part(graph.file(one.from)), part(graph.file(one.to)));
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == part) else { continue };
        if part != named && !allowed.contains(&named) {
            faults.push(format!(
                "src/{}:{}: {part} may not use {named} ({})",
                graph.file(one.from),
                one.line,
                one.path
            ));
        }
    }
    assert!(graph.uses.len() > 500, "the uses are read");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_parts_stand_on_each_other_in_one_order() {
    for (at, (part, allowed)) in MAY_USE.iter().enumerate() {
        for below in *allowed {
            let found = MAY_USE.iter().position(|(name, _)| name == below).expect("it is a part");
            assert!(found > at, "{part} stands below {below} and may not use it");
        }
    }
}

/// Files of different folders do not need each other, directly or over others. `a/b/mod.rs` (or `a/b.rs` beside a folder
/// `a/b/`) is of the folder `a/b` with the files in it. Inside one folder a `mod.rs` and its files may name each other, as
/// Rust's modules do.
#[test]
fn no_circle_leads_through_two_folders() {
    let graph = house();
    let circles = graph.circles();
    let several = |circle: &&Vec<usize>| circle.iter().any(|file| graph.folder(*file) != graph.folder(circle[0]));
    let told: Vec<_> = circles.iter().filter(several).map(|circle| graph.tell(circle)).collect();
    assert!(told.is_empty(), "files of different folders need each other:\n{}", told.join("\n"));
}

/// The path of a command is told in one direction: not even inside its folder do files need each other.
#[test]
fn the_path_of_a_command_leads_one_way() {
    let graph = house();
    let circles = graph.circles();
    let on_the_path =
        |circle: &&Vec<usize>| circle.iter().any(|file| graph.file(*file).starts_with("commands/execute/"));
    let told: Vec<_> = circles.iter().filter(on_the_path).map(|circle| graph.tell(circle)).collect();
    assert!(told.is_empty(), "files of commands/execute need each other:\n{}", told.join("\n"));
}

#[test]
fn only_the_configuration_reads_the_environment_and_only_the_clock_reads_the_time() {
    let rules: &[(&[&str], &str)] = &[
        (&["env::var", "env::vars", "std::env::args"], "config/"),
        (&["Utc::now", "Local::now", "SystemTime::now"], "events/time.rs"),
        (&["thread_rng", "rand::rng("], "security/"),
    ];
    let mut faults = Vec::new();
    for source in &sources() {
        for (number, line) in source.code() {
            for (words, place) in rules {
                if !source.path.starts_with(place) && words.iter().any(|word| line.contains(word)) {
                    faults.push(format!("src/{}:{number}: belongs into src/{place}: {}", source.path, line.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn commands_print_in_one_way() {
    let words = ["println!", "print!", "io::stdout", "io::stderr"];
    // The first is that way; logs go to standard error by themselves.
    let places = ["cli/output.rs", "telemetry/mod.rs"];
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !places.contains(&source.path.as_str())) {
        for (number, line) in source.code().filter(|(_, line)| words.iter().any(|word| line.contains(word))) {
            faults.push(format!("src/{}:{number}: print with src/cli/output.rs: {}", source.path, line.trim()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_opens_with_what_it_is_for_and_none_grows_too_long() {
    let mut faults = Vec::new();
    for source in &sources() {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            faults.push(format!("src/{}: {lines} lines; split it by meaning", source.path));
        }
        // The three lines of main.rs say it themselves.
        if !source.text.starts_with("//!") && source.path != "main.rs" {
            faults.push(format!("src/{}: does not open with what it is for (`//!`)", source.path));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn statements_name_their_columns_and_their_schema() {
    let mut faults = Vec::new();
    for source in &sources() {
        for (number, line) in source.code() {
            if line.contains("SELECT *") || line.contains("RETURNING *") {
                faults.push(format!("src/{}:{number}: name the columns: {}", source.path, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The checklist says by which test each line of it can be seen to hold.
#[test]
fn the_checklist_names_tests_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checklist = std::fs::read_to_string(root.join("docs/CHECKLIST.md")).unwrap();
    let is_path = |word: &str| {
        word.contains("::")
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':'))
    };
    let named: BTreeSet<&str> = checklist.split('`').skip(1).step_by(2).filter(|word| is_path(word)).collect();
    assert!(named.len() > 10, "the checklist names tests");
    let missing: Vec<_> = named.into_iter().filter(|name| !is_test(&root.join("tests/suite"), name)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// What `make test` runs on a second PostgreSQL is chosen by name: a name that no test has any more would choose nothing, in silence.
#[test]
fn the_tests_for_a_second_postgresql_are_there() {
    let makefile = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).unwrap();
    let names = makefile.lines().find_map(|line| line.strip_prefix("TESTS_ON_NEWEST := ")).expect("they are chosen");
    for name in names.split_whitespace() {
        let listed = Command::new(std::env::current_exe().unwrap()).args([name, "--list"]).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.lines().any(|line| line.ends_with(": test")), "no test has {name} in its name");
    }
}

/// A module of the tests, or a function in one.
fn is_test(folder: &Path, name: &str) -> bool {
    let (first, rest) = name.split_once("::").unwrap_or((name, ""));
    let (inner, file) = (folder.join(first), folder.join(format!("{first}.rs")));
    match (inner.is_dir(), file.is_file()) {
        (true, _) if rest.is_empty() => true,
        (true, _) => is_test(&inner, rest),
        (false, true) if rest.is_empty() => true,
        (false, found) => {
            let (file, function) = if found { (file, rest) } else { (folder.join("mod.rs"), name) };
            std::fs::read_to_string(file).is_ok_and(|text| text.contains(&format!("fn {function}(")))
        }
    }
}
