//! Processes that do not outlive the test, whatever becomes of it.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Kills the process when this one has ended without saying that it is done.
const GUARD: &str = r#"read -r word; [ "$word" = done ] || kill -KILL "$0""#;

/// Killed with the value, and also where this process is killed.
pub struct Guarded {
    pub child: Child,
    guard: Child,
}

impl Guarded {
    pub fn spawn(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        let mut guard = Command::new("/bin/sh");
        guard.arg("-c").arg(GUARD).arg(child.id().to_string()).stdin(Stdio::piped());
        Self { child, guard: guard.spawn().unwrap() }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// SIGKILL, and gone.
    pub fn end(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
        let _ = self.guard.stdin.as_mut().map(|pipe| pipe.write_all(b"done\n"));
        let _ = self.guard.wait();
    }
}

/// Nobody listens on it now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
