//! Every command of the command line, run in every way in which its surroundings can fail it. Which commands there are is what the program
//! itself says: a new one has to be given a sample here.

mod losing;
mod printing;
mod waiting;

use std::path::PathBuf;

use clap::CommandFactory as _;
use convoke::cli::Cli;
use convoke::events::log::EventLog;
use serde_json::json;

use crate::harness::{Ended, Folder, Run, TestDb, folder};
use crate::projections::live::Workers;

/// People of the sample log; each run that needs one of its own takes another.
const PEOPLE: u32 = 60;
const TENANT: &str = "acme";

/// A command of the program.
#[derive(Clone, Debug)]
pub struct Known {
    /// As it is typed: `log verify`.
    pub path: String,
    pub has_json: bool,
}

/// All of them.
pub fn commands() -> Vec<Known> {
    fn gather(command: &clap::Command, path: &str, found: &mut Vec<Known>) {
        for below in command.get_subcommands() {
            let path = format!("{path} {}", below.get_name()).trim().to_owned();
            if !below.is_subcommand_required_set() {
                let has_json = below.get_arguments().any(|argument| argument.get_long() == Some("json"));
                found.push(Known { path: path.clone(), has_json });
            }
            gather(below, &path, found);
        }
    }
    let mut found = Vec::new();
    gather(&Cli::command(), "", &mut found);
    assert!(found.len() > 25, "the program tells its commands: {found:?}");
    found
}

/// What a command needs to do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    Nothing,
    Log,
    /// A database without a schema, each time.
    EmptyDatabase,
    /// A log that it changes for good, each time.
    OwnLog,
    /// A server that runs on the same database.
    Server,
    /// Tried with the other tests of Kafka.
    Kafka,
}

pub fn needs(path: &str) -> Needs {
    match path {
        "config check" | "openapi" | "asyncapi" | "token create" => Needs::Nothing,
        "migrate" => Needs::EmptyDatabase,
        "archive run" => Needs::OwnLog,
        "cache stats" | "cache warm" | "cache forget" => Needs::Server,
        "kafka ensure" | "kafka check" | "kafka audit" => Needs::Kafka,
        "serve" | "import" | "export" | "erase" | "erase texts" | "erase verify" | "keys rewrap"
        | "token key create" | "token key list" | "token key revoke" | "log stat" | "log read" | "log tail"
        | "log verify" | "log repair-names" | "partition list" | "partition ensure" | "log fence"
        | "projection list" | "projection rebuild" | "projection verify" => Needs::Log,
        new => panic!("`convoke {new}` is not known here: say how it is run, and what it needs"),
    }
}

/// Arguments of a run in which the command does its work and prints what it prints. No two numbers get in each other's way.
fn arguments(path: &str, number: u32) -> Vec<String> {
    let person = format!("person-{}", number % PEOPLE);
    let text = match path {
        "token create" => "--grant all".into(),
        "serve" => "--listen 127.0.0.1:0".into(),
        "import" => format!("--tenant {TENANT} lines-{number}.ndjson"),
        "export" => "--force log.ndjson.zst".into(),
        "archive run" => "--older-than 60d".into(),
        "erase" => format!("--tenant {TENANT} --identity {person} --yes"),
        "erase texts" => format!("--tenant {TENANT} --identity {person}"),
        "erase verify" => format!("--tenant {TENANT} --identity {person} never-said-by-anybody"),
        "token key create" => format!("--tenant {TENANT} --key key-{number}"),
        "token key revoke" => format!("key-{number}"),
        "log fence" => "--yes".into(),
        "log tail" => "--from 1".into(),
        "partition ensure" => format!("--from {0}-01-01T00:00:00Z --until {0}-01-02T00:00:00Z", 3000 + number),
        "cache forget" => "room:*".into(),
        _ => String::new(),
    };
    path.split(' ').map(String::from).chain(text.split_whitespace().map(String::from)).collect()
}

/// A log with what commands work on: an old partition and a present one, personal fields, read models that have folded it.
pub struct Fixture {
    pub db: TestDb,
    folder: Folder,
}

impl Fixture {
    pub async fn new() -> Self {
        let fixture = Self { db: TestDb::new().await, folder: folder() };
        std::fs::write(fixture.file("old.ndjson"), lines("old", "2012-01-01", PEOPLE)).unwrap();
        std::fs::write(fixture.file("present.ndjson"), lines("present", "2024-01-01", 5)).unwrap();
        for args in [&["--recorded-as-occurred", "old.ndjson"][..], &["present.ndjson"]] {
            let done = fixture
                .run(&fixture.db.url)
                .args(["import", "--tenant", TENANT])
                .args(args.iter().copied())
                .run()
                .await;
            assert_eq!(done.status, 0, "{done:?}");
        }
        let log = EventLog::new(fixture.db.system.clone());
        let workers = Workers::on(log.clone());
        workers.reach(log.head().await.unwrap().position).await;
        workers.stop().await;
        fixture
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A run on a database, which may be another than the ground's own.
    pub fn run(&self, url: &str) -> Run {
        let archives = self.file("archives");
        std::fs::create_dir_all(&archives).unwrap();
        let mut run = Run::on(&self.db);
        run.folder = self.folder.to_path_buf();
        run.with("DATABASE_URL", url)
            .with("CONVOKE_ARCHIVE_URL", &format!("file://{}", archives.display()))
            .with("CONVOKE_DATABASE_ACQUIRE_TIMEOUT", "3s")
    }

    pub fn command(&self, path: &str, number: u32, url: &str) -> Run {
        if path == "import" {
            let lines = lines(&format!("imported-{number}"), "2024-01-01", 5);
            std::fs::write(self.file(&format!("lines-{number}.ndjson")), lines).unwrap();
        }
        self.run(url).args(arguments(path, number))
    }
}

/// A room to which so many people come, named and with metadata. Rooms of one name are one.
fn lines(room: &str, day: &str, people: u32) -> String {
    let line = |command: &str, data: serde_json::Value| {
        let line = json!({ "occurred_at": format!("{day}T10:00:00Z"), "room": room, "command": command, "data": data });
        format!("{line}\n")
    };
    let come = (0..people).map(|number| {
        let person =
            json!({ "identity": format!("person-{number}"), "display_name": format!("Person {number} of {room}") });
        line("join", person)
    });
    std::iter::once(line("create-room", json!({ "settings": { "max_participants": 100 } }))).chain(come).collect()
}

/// What a command says where something failed it: a sentence, and not what a program says that broke down.
pub fn tells_an_error(ended: &Ended) -> bool {
    let plainly = !ended.stderr.contains("panicked") && !ended.stderr.contains("RUST_BACKTRACE");
    let error = ended.stderr.lines().find_map(|line| line.strip_prefix("error: "));
    ended.status == 1 && plainly && error.is_some_and(|words| words.split_whitespace().count() > 3)
}
