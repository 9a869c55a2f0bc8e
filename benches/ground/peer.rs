//! The peer: `pgbench` with single-row inserts into a table with the columns and indexes of a partition of the log, on the
//! same server and settings, prepared statements, a Unix socket.

use std::process::Stdio;
use std::time::Duration;

use sqlx::Executor as _;
use tokio::process::Command;

use super::{Failure, Postgres};

const SCHEMA: &str = "
    CREATE SCHEMA peer;
    CREATE TABLE peer.log (LIKE convoke.log INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE);
    CREATE UNIQUE INDEX log_position ON peer.log (position);
    CREATE UNIQUE INDEX log_room ON peer.log (room, tenant, room_version);
    CREATE SEQUENCE peer.positions CACHE 64;
    CREATE SEQUENCE peer.versions CACHE 64;
";

/// An event as `raise-hand` writes it.
const INSERT: &str = r#"\set room random(1, 2048)
INSERT INTO peer.log (position, room_version, recorded_at, room, command_id, type_version, tenant, event_type, actor, data, hash)
VALUES (nextval('peer.positions'), nextval('peer.versions'), clock_timestamp(),
        ('01936d2e-7c1a-7b3e-8a44-' || lpad(to_hex(CAST(:room AS integer)), 12, '0'))::uuid, gen_random_uuid(), 1, 'bench', 'room.hand-raised',
        'key-bench', '{"identity":"person-100"}', '\x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff');
"#;

/// What `pgbench` gets.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Inserts a second.
    pub rate: f64,
    pub p50_ms: f64,
}

impl Peer {
    /// Once, before the first run.
    pub async fn prepare(postgres: &Postgres) -> Result<(), Failure> {
        let owner = postgres.owner().await?;
        owner.execute(sqlx::raw_sql(SCHEMA)).await?;
        std::fs::write(postgres.folder.join("peer.sql"), INSERT)?;
        Ok(())
    }

    pub async fn run(postgres: &Postgres, clients: usize, time: Duration) -> Result<Self, Failure> {
        let logs = postgres.folder.join("peer-log");
        std::fs::create_dir_all(&logs)?;
        let output = Command::new(postgres.programs.join("pgbench"))
            .args(["--no-vacuum", "--protocol=prepared", "--log", "--log-prefix=run"])
            .arg(format!("--client={clients}"))
            .arg(format!("--jobs={}", clients.min(2)))
            .arg(format!("--time={}", time.as_secs()))
            .arg("--file")
            .arg(postgres.folder.join("peer.sql"))
            .arg(format!("--host={}", postgres.socket_folder().display()))
            .arg(format!("--username={}", postgres.user()))
            .arg(postgres.database())
            .current_dir(&logs)
            .stdin(Stdio::null())
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")).and_then(|rest| rest.split(' ').next());
        let rate = rate.and_then(|rate| rate.parse().ok());
        let rate = rate.ok_or_else(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            format!("pgbench fails: {}", errors.lines().take(3).collect::<Vec<_>>().join(" "))
        })?;
        let mut times = Vec::new();
        for file in std::fs::read_dir(&logs)? {
            // client, transaction, microseconds, ...
            let text = std::fs::read_to_string(file?.path())?;
            times.extend(text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok()));
        }
        std::fs::remove_dir_all(&logs)?;
        Ok(Self { rate, p50_ms: super::median(times) / 1000.0 })
    }
}
