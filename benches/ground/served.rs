//! The release `convoke serve` on the benchmark's PostgreSQL.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use convoke::events::time::{Clock, Timestamp};
use convoke::ids::{Identity, TenantId};
use convoke::security::grants::Grants;
use convoke::security::tokens::{Claims, NumericDate, mint};
use rustix::process::{Pid, Signal, kill_process};

use super::{Failure, Postgres};

const SECRET: &str = "a-secret-of-the-benchmarks-and-of-nobody-else";
const START_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(30);

pub struct Served {
    process: Child,
    pub address: SocketAddr,
}

impl Served {
    /// All roles, the settings as they are by default. Its log is `serve.log` beside the data.
    pub async fn start(postgres: &Postgres) -> Result<Self, Failure> {
        Self::start_with(postgres, &[]).await
    }

    /// The same, with some settings besides.
    pub async fn start_with(postgres: &Postgres, settings: &[(&'static str, String)]) -> Result<Self, Failure> {
        Self::start_at(&postgres.url(), &postgres.folder, settings).await
    }

    /// On any database, with the program's own files in a folder.
    pub async fn start_at(url: &str, folder: &Path, settings: &[(&'static str, String)]) -> Result<Self, Failure> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(folder.join("serve.log"))?;
        let process = Command::new(env!("CARGO_BIN_EXE_convoke"))
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DATABASE_URL", url)
            .env("CONVOKE_DATA_DIR", folder.join("serve"))
            .env("CONVOKE_HTTP_LISTEN", address.to_string())
            .env("CONVOKE_SIGNING_KEYS", format!("bench:{SECRET}"))
            .env("CONVOKE_LOG_LEVEL", "warn")
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut served = Self { process, address };
        served.until_ready().await?;
        Ok(served)
    }

    async fn until_ready(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        let url = format!("http://{}/health/ready", self.address);
        while begun.elapsed() < START_PATIENCE {
            if let Some(status) = self.process.try_wait()? {
                return Err(format!("convoke serve ended with {status}; see serve.log").into());
            }
            if reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("convoke serve is not ready; see serve.log".into())
    }

    /// Kilobytes of memory that the process holds.
    pub fn resident_kb(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    }

    /// Of a server, with every grant.
    pub fn token() -> Result<String, Failure> {
        Self::token_of(None, Grants::everything())
    }

    /// Of somebody who may join rooms, and nothing else.
    pub fn token_of_person(identity: &str) -> Result<String, Failure> {
        Self::token_of(Some(Identity::new(identity)?), Grants { room_join: true, ..Grants::default() })
    }

    fn token_of(identity: Option<Identity>, grants: Grants) -> Result<String, Failure> {
        let now: Timestamp = Clock::system().now();
        let claims = Claims {
            sub: identity,
            tenant: Some(TenantId::new("bench")?),
            grants,
            exp: Some(NumericDate::at(now.plus_seconds(24 * 3600))),
            ..Claims::default()
        };
        Ok(mint("bench", SECRET.as_bytes(), &claims))
    }

    pub async fn stop(mut self) -> Result<(), Failure> {
        self.signal(Signal::TERM);
        let begun = Instant::now();
        while begun.elapsed() < STOP_PATIENCE {
            if self.process.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err("convoke serve does not stop".into())
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
