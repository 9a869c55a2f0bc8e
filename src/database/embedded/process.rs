//! The process of the private server: creates, starts, watches and stops it.
//!
//! A shell between this process and the server holds the reading end of a pipe. When this process dies, in whatever way, the pipe
//! closes and the shell stops the server (fast: it rolls back transactions and writes everything). If the shell dies too, the
//! next start stops the server.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use super::SUPERUSER;
use super::binaries::PostgresBinaries;
use super::data_dir::DataDir;
use super::errors::{EmbeddedError, at};

/// Writing everything at a stop takes as long as the disk needs for what a checkpoint left.
const FAST_STOP: Duration = Duration::from_secs(30);
const IMMEDIATE_STOP: Duration = Duration::from_secs(10);
/// How long children of a killed server may hold its shared memory.
const LEFTOVERS: Duration = Duration::from_secs(20);
/// After this long a child that is still there waits for a lock of one that was killed, and would for ever.
const STUCK: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(25);
const TOLD_BYTES: usize = 2000;

const GUARD: &str = r#"
exec 3<&0
"$@" 3<&- &
server=$!
( read -r _ <&3; kill -INT "$server" ) 2>/dev/null &
guard=$!
exec 3<&-
wait "$server"
status=$?
kill "$guard" 2>/dev/null
exit "$status"
"#;

/// A running server. Dropping it stops the server, without waiting for it.
#[derive(Debug)]
pub struct ServerProcess {
    shell: Child,
    /// Our end of the pipe. Apart from the child, which closes its own when it is waited for.
    lifeline: Option<ChildStdin>,
    data: PathBuf,
}

impl ServerProcess {
    /// Starts the server; whether it accepts connections is for the caller to wait for.
    pub async fn start(
        binaries: &PostgresBinaries,
        place: &DataDir,
        settings: &[String],
    ) -> Result<Self, EmbeddedError> {
        stop_orphan(&place.data()).await;
        let log = place.start_log();
        let output = File::create(&log).map_err(at(&log))?;
        let errors = output.try_clone().map_err(at(&log))?;
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(GUARD).arg("convoke-postgres");
        command.arg(binaries.program("postgres")).arg("-D").arg(place.data());
        for setting in settings {
            command.arg("-c").arg(setting);
        }
        // Its own group: Ctrl-C on the terminal is for us, the server stops when we are done.
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        as_account(&mut command, place);
        let mut shell = command.spawn().map_err(|source| EmbeddedError::Spawn { program: "/bin/sh".into(), source })?;
        let lifeline = shell.stdin.take();
        Ok(Self { shell, lifeline, data: place.data() })
    }

    /// What the server said, where it has ended by itself.
    pub fn ended(&mut self, place: &DataDir) -> Option<String> {
        self.shell.try_wait().ok().flatten().map(|_| last_words(place))
    }

    /// Returns when the server has ended by itself.
    pub async fn wait(&mut self) {
        // An error means that there is no such child any more.
        let _ = self.shell.wait().await;
    }

    /// Stops the server: fast, then at once, then by force.
    pub async fn stop(&mut self) {
        drop(self.lifeline.take());
        if timeout(FAST_STOP, self.shell.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(
            "the private PostgreSQL did not stop in time; forcing it to stop, it recovers at the next start"
        );
        if let Some(pid) = postmaster(&self.data) {
            end(pid, &[(Signal::QUIT, IMMEDIATE_STOP), (Signal::KILL, IMMEDIATE_STOP)]).await;
        }
    }
}

/// Makes the data, all or nothing: apart first, then moved to its name.
pub async fn init(binaries: &PostgresBinaries, place: &DataDir) -> Result<(), EmbeddedError> {
    let data = place.data();
    for entry in fs::read_dir(&place.root).map_err(at(&place.root))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("data.new") {
            fs::remove_dir_all(entry.path()).map_err(at(&entry.path()))?;
        }
    }
    let draft = place.root.join(format!("data.new-{}", std::process::id()));
    let program = binaries.program("initdb");
    let mut command = Command::new(&program);
    command.arg("--pgdata").arg(&draft).arg("--username").arg(SUPERUSER);
    command.args(["--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=reject", "--data-checksums"]);
    command.stdin(Stdio::null());
    as_account(&mut command, place);
    let output = command.output().await.map_err(|source| EmbeddedError::Spawn { program, source })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(EmbeddedError::Init { data, output: words });
    }
    fs::rename(&draft, &data).map_err(at(&data))?;
    File::open(&place.root).and_then(|folder| folder.sync_all()).map_err(at(&place.root))
}

/// Whether a failed start is the fault of what a killed server left behind, and will pass.
pub fn passes_by_itself(output: &str) -> bool {
    ["pre-existing shared memory block", "lock file \"postmaster.pid\"", "could not bind Unix"]
        .iter()
        .any(|words| output.contains(words))
}

pub const fn patience_with_leftovers() -> Duration {
    LEFTOVERS
}

/// Ends what a server that was killed left behind, where that has not ended by itself within `waited`. There is no server of
/// this data now: nothing that is worth keeping is in those processes, and what is on the disk is recovered at the start.
pub fn end_leftovers(data: &Path, waited: Duration) {
    if waited < STUCK || postmaster(data).is_some() {
        return;
    }
    let (Ok(data), Ok(processes)) = (fs::canonicalize(data), fs::read_dir("/proc")) else { return };
    for entry in processes.flatten() {
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let of_ours = fs::read_link(entry.path().join("cwd")).is_ok_and(|folder| folder == data);
        let postgres = fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim() == "postgres");
        if let Some(pid) = Pid::from_raw(number).filter(|_| of_ours && postgres) {
            tracing::warn!(pid = number, "killing a process that a killed PostgreSQL left behind");
            // An error means that it has ended.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// A plain environment, the server's user, and a folder that this user may be in.
fn as_account(command: &mut Command, place: &DataDir) {
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
    command.current_dir(&place.root);
    if let Some(account) = place.account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// A server that outlived its convoke, if there is one, is stopped.
async fn stop_orphan(data: &Path) {
    if let Some(pid) = postmaster(data) {
        tracing::info!(
            pid = pid.as_raw_nonzero().get(),
            "stopping the PostgreSQL that an earlier convoke left running"
        );
        let steps = [(Signal::INT, FAST_STOP), (Signal::QUIT, IMMEDIATE_STOP), (Signal::KILL, IMMEDIATE_STOP)];
        end(pid, &steps).await;
    }
}

async fn end(pid: Pid, steps: &[(Signal, Duration)]) {
    for (signal, patience) in steps {
        // An error means that it has ended.
        let _ = kill_process(pid, *signal);
        let deadline = Instant::now() + *patience;
        while Instant::now() < deadline {
            if test_kill_process(pid).is_err() {
                return;
            }
            sleep(POLL).await;
        }
    }
}

/// The process that serves this data. A stale `postmaster.pid` may name a number that another program has by now: the
/// server's working folder is its data, and nothing else's is.
fn postmaster(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    let pid = Pid::from_raw(number)?;
    let folder = fs::read_link(format!("/proc/{number}/cwd")).ok()?;
    (fs::canonicalize(data).ok()? == folder).then_some(pid)
}

/// The end of what the server wrote: at its start, or into its own log once that was open.
fn last_words(place: &DataDir) -> String {
    let newest = fs::read_dir(place.logs()).ok().and_then(|entries| {
        let dated = entries.flatten().filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())));
        dated.max().map(|(_, path)| path)
    });
    let paths = [Some(place.start_log()), newest];
    let texts = paths.iter().flatten().filter_map(|path| fs::read(path).ok());
    let ends = texts.map(|text| {
        let from = text.len().saturating_sub(TOLD_BYTES);
        String::from_utf8_lossy(&text[from..]).trim().to_owned()
    });
    ends.collect::<Vec<_>>().join("\n")
}
