//! Which PostgreSQL the tests run on: the installed one, or the version that `CONVOKE_TEST_POSTGRES` names.
//!
//! This is the only place that reads the variable. All servers of the tests follow it: the shared one, those of replicas, and the private
//! ones of the program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use convoke::database::embedded::LaunchOptions;

/// A version as `scripts/postgres.sh` takes it: `18`, `17.6`.
const VERSION: &str = "CONVOKE_TEST_POSTGRES";

/// The version that was asked for. `None`: the installed one serves.
pub fn version_asked_for() -> Option<String> {
    std::env::var(VERSION).ok().filter(|version| !version.is_empty())
}

/// The folder of the programs of the version that was asked for; fetched, where this machine does not have them yet.
pub fn programs() -> Option<&'static Path> {
    static PROGRAMS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let programs = PROGRAMS.get_or_init(|| version_asked_for().map(|version| fetch(&version)));
    programs.as_deref()
}

fn fetch(version: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres.sh");
    let found = Command::new(script).arg(version).stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    assert!(found.status.success(), "there is no PostgreSQL {version}: scripts/postgres.sh {version}");
    PathBuf::from(String::from_utf8(found.stdout).unwrap().trim())
}

/// How a test starts a server of its own, with settings (`name=value`) over those of the program.
pub fn launch(data_dir: &Path, settings: &[&str]) -> LaunchOptions {
    LaunchOptions {
        data_dir: data_dir.to_path_buf(),
        postgres_bin: programs().map(PathBuf::from),
        program_folders: std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect(),
        settings: settings.iter().copied().map(String::from).collect(),
    }
}
