//! A real `redis-server`, one for each test that wants one.

use std::process::{Command, Stdio};
use std::time::Duration;

use redis::FromRedisValue;
use rustix::process::Signal;

use super::{Certificate, Folder, Guarded, eventually, folder, free_port};

const START: Duration = Duration::from_secs(30);

/// On a port of its own, with nothing in it. Killed with the value; what it keeps is in a folder that vanishes with it.
pub struct Redis {
    pub port: u16,
    /// Where it speaks TLS besides, and with which certificate.
    tls: Option<(u16, Certificate)>,
    folder: Folder,
    running: Option<Guarded>,
}

impl Redis {
    pub async fn start() -> Self {
        Self::speaking(None).await
    }

    /// It speaks TLS as well.
    pub async fn secured() -> Self {
        Self::speaking(Some((free_port(), Certificate::new()))).await
    }

    async fn speaking(tls: Option<(u16, Certificate)>) -> Self {
        let mut redis = Self { port: free_port(), tls, folder: folder(), running: None };
        redis.start_again().await;
        redis
    }

    /// `REDIS_URL` for TLS, and the certificate that a client has to trust.
    pub fn over_tls(&self) -> (String, &Certificate) {
        let (port, certificate) = self.tls.as_ref().expect("it speaks TLS");
        (format!("rediss://localhost:{port}/0"), certificate)
    }

    /// What a process is given as `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// With what its dump holds, if it was saved.
    pub async fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        if let Some((port, certificate)) = &self.tls {
            command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(certificate.certificate());
            command.arg("--tls-key-file").arg(certificate.key());
            command.arg("--tls-ca-cert-file").arg(certificate.certificate());
        }
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--appendonly", "no"])
            .args(["--dir", self.folder.to_str().unwrap(), "--dbfilename", "dump.rdb"])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        self.running = Some(Guarded::spawn(&mut command));
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
        self.running.as_ref().expect("it runs").signal(signal);
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
