//! A running `convoke serve`.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::eventually;
use super::run::Run;

/// A start makes a private PostgreSQL, on a machine that runs other tests too.
const START: Duration = Duration::from_secs(90);
const STOP: Duration = Duration::from_secs(60);
const ANNOUNCEMENT: &str = "listening on ";
const TOLD_LINES: usize = 60;

/// Kills the program when this process has ended without saying that it is done.
const GUARD: &str = r#"read -r word; [ "$word" = done ] || kill -KILL "$0""#;

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
    child: Child,
    guard: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Server {
    pub(super) async fn start(run: Run) -> Self {
        let mut server = Self::spawn(run);
        let what = "the server answers";
        server.url = eventually(what, START, async || {
            if let Some(status) = server.child.try_wait().unwrap() {
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
        let child = command.spawn().unwrap();
        let pid = child.id();
        let mut guard = Command::new("/bin/sh");
        guard.arg("-c").arg(GUARD).arg(pid.to_string()).stdin(Stdio::piped());
        let guard = guard.spawn().unwrap();
        Self {
            url: String::new(),
            client: client(reqwest::Client::builder()),
            pid,
            _run: run,
            child,
            guard,
            output,
            errors,
        }
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
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
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGKILL, and gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and its end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.ended().await
    }

    /// Its end, by whatever it was caused.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the server ends", STOP, async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.guard.stdin.as_mut().map(|pipe| pipe.write_all(b"done\n"));
        let _ = self.guard.wait();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.lines().count().saturating_sub(TOLD_LINES);
            eprintln!("--- the server's log ---");
            log.lines().skip(from).for_each(|line| eprintln!("{line}"));
        }
    }
}
