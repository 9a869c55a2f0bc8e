//! A real `redis-server`, one for each test that wants one.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::FromRedisValue;
use rustix::process::{Pid, Signal, kill_process};

use super::{Folder, eventually, folder};

const START: Duration = Duration::from_secs(30);

/// Kills the server when this process has ended without saying that it is done.
const GUARD: &str = r#"read -r word; [ "$word" = done ] || kill -KILL "$0""#;

/// On a port of its own, with nothing in it. Killed with the value; what it keeps is in a folder that vanishes with it.
pub struct Redis {
    pub port: u16,
    folder: Folder,
    running: Option<Running>,
}

struct Running {
    child: Child,
    guard: Child,
}

impl Redis {
    pub async fn start() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis = Self { port, folder: folder(), running: None };
        redis.start_again().await;
        redis
    }

    /// What a process is given as `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// With what its dump holds, if it was saved.
    pub async fn start_again(&mut self) {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--appendonly", "no"])
            .args(["--dir", self.folder.to_str().unwrap(), "--dbfilename", "dump.rdb"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (scripts/install-tools.sh)");
        let mut guard = Command::new("/bin/sh");
        guard.arg("-c").arg(GUARD).arg(child.id().to_string()).stdin(Stdio::piped());
        self.running = Some(Running { child, guard: guard.spawn().unwrap() });
        eventually("redis answers", START, async || self.try_ask::<String>(redis::cmd("PING")).await.ok()).await;
    }

    /// SIGKILL, and gone.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// It is there and does not answer.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let running = self.running.as_ref().expect("it runs");
        kill_process(Pid::from_child(&running.child), signal).unwrap();
    }

    pub async fn ask<T: FromRedisValue>(&self, command: redis::Cmd) -> T {
        self.try_ask(command).await.unwrap()
    }

    async fn try_ask<T: FromRedisValue>(&self, command: redis::Cmd) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    }

    /// Keys of the cache.
    pub async fn keys(&self) -> Vec<String> {
        let mut command = redis::cmd("KEYS");
        command.arg("*");
        self.ask(command).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.guard.stdin.as_mut().map(|pipe| pipe.write_all(b"done\n"));
        let _ = self.guard.wait();
    }
}
