//! The real program, run with an environment of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::server::Server;
use super::{Folder, TestDb, folder, pooler, postgres};

/// Processes on one database need the same.
const MASTER_KEYS: &str = "tests:dGhpcyBrZXkgc2VhbHMgZm9yIHRlc3RzIG9ubHkhISE=";

/// No command of a test takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A run of `convoke`: of our own environment `PATH` and which PostgreSQL to run, no more; an empty folder to stand in.
#[derive(Clone)]
pub struct Run {
    environment: BTreeMap<String, String>,
    args: Vec<OsString>,
    pub folder: PathBuf,
    /// Keeps a folder of the run's own for as long as somebody may look into it.
    _own_folder: Option<Arc<Folder>>,
    user: Option<u32>,
}

/// What a run left.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// In a folder of its own, without a database: `serve` starts a private one there.
    pub fn new() -> Self {
        let own = folder();
        let run = Self::in_folder(&own);
        Self { _own_folder: Some(Arc::new(own)), ..run }
    }

    pub fn in_folder(path: &Path) -> Self {
        let mut environment: BTreeMap<_, _> = [("PATH".to_owned(), std::env::var("PATH").unwrap_or_default())].into();
        if let Some(programs) = postgres::programs() {
            environment.insert("CONVOKE_POSTGRES_BIN".into(), programs.display().to_string());
        }
        Self { environment, args: Vec::new(), folder: path.into(), _own_folder: None, user: None }
    }

    /// On the database of a test.
    pub fn on(db: &TestDb) -> Self {
        Self::new().with("DATABASE_URL", &db.url).with("CONVOKE_MASTER_KEYS", MASTER_KEYS)
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// As another user and the group of the same number; only root can.
    pub fn by_user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// To its end.
    pub async fn run(self) -> Ended {
        let mut command = tokio::process::Command::from(self.command());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let output = child.spawn().unwrap().wait_with_output();
        let output = tokio::time::timeout(PATIENCE, output).await.expect("the command ends").unwrap();
        Ended {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// To its good end, which is one JSON value on the output stream.
    pub async fn json(self) -> serde_json::Value {
        let ended = self.run().await;
        assert_eq!(ended.status, 0, "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {ended:?}"))
    }

    /// `convoke serve` on a free port; returns when it answers.
    pub async fn serve(mut self) -> Server {
        let url = self.environment.get("DATABASE_URL").cloned();
        if let (Some(url), false) = (url, self.environment.contains_key("DATABASE_POOLER_URL"))
            && let Some(way) = pooler::of_this_process(&url.parse().unwrap()).await
        {
            self = self.with("DATABASE_POOLER_URL", &way);
        }
        let listening = if self.environment.contains_key("CONVOKE_HTTP_LISTEN") {
            self
        } else {
            self.with("CONVOKE_HTTP_LISTEN", "127.0.0.1:0")
        };
        let mut run = listening;
        run.args.insert(0, "serve".into());
        Server::start(run).await
    }

    /// To be run by other means.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program());
        command.args(&self.args).env_clear().envs(&self.environment).current_dir(&self.folder);
        if let Some(uid) = self.user {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// Another user may not reach where it was built: it gets a copy.
    fn program(&self) -> PathBuf {
        let built = PathBuf::from(env!("CARGO_BIN_EXE_convoke"));
        if self.user.is_none() {
            return built;
        }
        let copy = self.folder.join("convoke");
        if !copy.exists() {
            std::fs::copy(&built, &copy).unwrap();
        }
        copy
    }
}
