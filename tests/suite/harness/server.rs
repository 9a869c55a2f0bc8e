//! A running `convoke serve`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::run::Run;
use super::{Guarded, eventually};

/// A start makes a private PostgreSQL, on a machine that runs other tests too.
const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(60);
const ANNOUNCEMENT: &str = "listening on ";
const TOLD_LINES: usize = 60;

/// A client of HTTP. The program itself chooses who does its cryptography, where it speaks TLS; so does a test.
pub fn client(builder: reqwest::ClientBuilder) -> reqwest::Client {
    // It is there already after the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder.build().expect("a client with the defaults of its library")
}

/// The program and what it writes. Killed with the value; [`Server::terminate`] is the way to a good end.
pub struct Server {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    pub client: reqwest::Client,
    pub pid: u32,
    /// Holds the folder.
    _run: Run,
    process: Guarded,
    output: PathBuf,
    errors: PathBuf,
}

impl Server {
    pub(super) async fn start(run: Run) -> Self {
        let mut server = Self::spawn(run);
        let what = "the server answers";
        server.url = eventually(what, START, async || {
            if let Some(status) = server.process.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", server.log());
            }
            let output = std::fs::read_to_string(&server.output).unwrap();
            let line = output.lines().find_map(|line| line.strip_prefix(ANNOUNCEMENT))?;
            Some(line.trim().to_owned())
        })
        .await;
        server
    }

    fn spawn(run: Run) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let output = run.folder.join(format!("serve-{number}.out"));
        let errors = run.folder.join(format!("serve-{number}.log"));
        let mut command = run.command();
        command.stdin(Stdio::null());
        command.stdout(File::create(&output).unwrap()).stderr(File::create(&errors).unwrap());
        let process = Guarded::spawn(&mut command);
        let (pid, client) = (process.child.id(), client(reqwest::Client::builder()));
        Self { url: String::new(), client, pid, _run: run, process, output, errors }
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// A metric, by its name and labels as they stand in its line; 0: there is none.
    pub async fn metric(&self, name: &str) -> u64 {
        let metrics = self.get("/metrics").await.text().await.unwrap();
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        metrics.lines().find_map(value).unwrap_or(0)
    }

    /// What it wrote to the error stream so far: its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap()
    }

    /// What it wrote to the output stream so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        self.process.signal(signal);
    }

    /// SIGKILL, and gone.
    pub fn kill(&mut self) {
        self.process.end();
    }

    /// SIGTERM, and its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }

    /// Its end, by whatever it was caused.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the server ends", STOP, async || self.process.child.try_wait().unwrap()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.end();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(TOLD_LINES);
            eprintln!("--- the server's log ---");
            log.lines().skip(from).for_each(|line| eprintln!("{line}"));
        }
    }
}
