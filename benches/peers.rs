//! Other event stores beside commands over HTTP, on the same machine and the same PostgreSQL, in turns. Their clients are in `benches/peers/`,
//! a workspace of its own; `make bench-peers` builds and fetches what they need.
//!
//! Each store gets what the commands benchmark sends: so many callers, each with eight rooms, each with one event on its way at a time, on the
//! condition that nobody else has appended to the room meanwhile. None of them but ours has HTTP, rules, idempotency, a chain of hashes or read
//! models.

use std::fmt::Write as _;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use sqlx::Executor as _;

use crate::fixture::{Failure, Postgres, Promise, Served, machine, median, tell};
use crate::load::{Load, Report, Until, Work};

const ROUNDS: usize = 3;
const WARM_UP: Duration = Duration::from_secs(2);
const MEASURE: Duration = Duration::from_secs(8);
const CALLERS: usize = 256;
const ROOMS_EACH: usize = 8;
/// Connections to PostgreSQL that the callers of a store share.
const POOL: usize = 32;
/// Connections to UmaDB, which its requests share.
const GRPC_CONNECTIONS: usize = 4;
const START_PATIENCE: Duration = Duration::from_secs(30);
/// Everything that one store does in a round takes less.
const RUN_PATIENCE: Duration = Duration::from_secs(120);

/// What is wanted.
const OURS_TO_UMADB: f64 = 0.8;

/// The stores, by the names of their clients and as they are told.
const STORES: &[(&str, &str)] = &[
    ("umadb", "UmaDB, gRPC"),
    ("message-db", "message-db, one category"),
    ("message-db-by-stream", "message-db, a category for each stream"),
    ("postgres-es", "postgres-es"),
    ("emmett", "emmett"),
];

#[derive(Clone, Deserialize)]
struct Measured {
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl From<Report> for Measured {
    fn from(report: Report) -> Self {
        let Report { rate, p50_ms, p99_ms, max_ms, .. } = report;
        Self { rate, p50_ms, p99_ms, max_ms }
    }
}

pub async fn run() -> Result<Vec<Promise>, Failure> {
    let tools = Tools::find()?;
    let postgres = Postgres::fresh("peers").await?;
    let measured = measure(&postgres, &tools).await;
    postgres.stop().await;
    let rows = measured?;
    let ours = of(&rows[0].1, |run| run.rate);
    let umadb = rows.iter().find(|(name, _)| *name == STORES[0].1).map_or(f64::NAN, |row| of(&row.1, |run| run.rate));
    let promises = vec![Promise::at_least("Commands over HTTP, to UmaDB's appends", ours / umadb, OURS_TO_UMADB)];
    tell("peers", &summary(&rows), &promises)?;
    Ok(promises)
}

async fn measure(postgres: &Postgres, tools: &Tools) -> Result<Vec<(&'static str, Vec<Measured>)>, Failure> {
    let owner = postgres.owner().await?;
    for database in ["postgres_es", "emmett"] {
        owner.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {database}"))).await?;
    }
    owner.close().await;
    for (database, _) in MESSAGE_DBS {
        tools.install_message_db(postgres, database)?;
    }
    let mut rows = vec![("Convoke, commands over HTTP", Vec::new())];
    rows.extend(STORES.iter().map(|(_, told)| (*told, Vec::new())));
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        let served = Served::start(postgres).await?;
        rows[0].1.push(ours(&served).await?.into());
        served.stop().await?;
        for ((store, _), row) in STORES.iter().zip(&mut rows[1..]) {
            eprintln!("{store}");
            row.1.push(tools.run(store, postgres).await?);
        }
    }
    Ok(rows)
}

async fn ours(served: &Served) -> Result<Report, Failure> {
    let (work, until) = (Work::RoomsEach(ROOMS_EACH), Until::Time { warm_up: WARM_UP, measure: MEASURE });
    let load = Load { address: served.address, token: Served::token()?, connections: CALLERS, work, until };
    load.run().await?.clean()
}

/// The database of each way to use message-db, by the name of its client.
const MESSAGE_DBS: [(&str, &str); 2] =
    [("message_store", "message-db"), ("message_store_by_stream", "message-db-by-stream")];

/// What `make bench-peers` built and fetched.
struct Tools {
    client: PathBuf,
    /// Of scripts/peers.sh.
    fetched: PathBuf,
}

impl Tools {
    fn find() -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let place = Command::new(root.join("scripts/peers.sh")).arg("where").output()?;
        let tools = Self {
            client: root.join("target/peers/release/convoke-peers"),
            fetched: PathBuf::from(String::from_utf8(place.stdout)?.trim()),
        };
        for needed in [&tools.client, &tools.fetched.join("whole")] {
            if !needed.exists() {
                return Err(format!("{} is not there: run `make bench-peers`", needed.display()).into());
            }
        }
        Ok(tools)
    }

    /// By its own script.
    fn install_message_db(&self, postgres: &Postgres, database: &str) -> Result<(), Failure> {
        let script = self.fetched.join("node/node_modules/@eventide/message-db/database/install.sh");
        let mut command = Command::new("bash");
        command.arg(script).env("DATABASE_NAME", database).env("PGUSER", postgres.user());
        command.env("PGHOST", postgres.socket_folder()).stdin(Stdio::null());
        let output = command.output()?;
        if !output.status.success() {
            return Err(format!("message-db is not installed: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(())
    }

    async fn run(&self, store: &str, postgres: &Postgres) -> Result<Measured, Failure> {
        if store == "umadb" {
            let server = UmaDb::start(&self.fetched.join("bin/umadb"), &postgres.folder).await?;
            return self.client(store, &server.url, GRPC_CONNECTIONS).await;
        }
        let of_message_db = MESSAGE_DBS.iter().find(|(_, client)| *client == store);
        let database = of_message_db.map_or_else(|| store.replace('-', "_"), |(database, _)| (*database).to_owned());
        let (user, socket) = (postgres.user(), postgres.socket_folder().display());
        if store == "emmett" {
            // As its driver takes a socket.
            return self.client(store, &format!("postgresql:///{database}?host={socket}&user={user}"), POOL).await;
        }
        self.client(store, &format!("postgres://{user}@localhost/{database}?host={socket}&sslmode=disable"), POOL).await
    }

    async fn client(&self, store: &str, url: &str, connections: usize) -> Result<Measured, Failure> {
        let mut command = if store == "emmett" {
            let mut node = tokio::process::Command::new(self.fetched.join("bin/node"));
            node.arg(self.fetched.join("node/emmett.mjs"));
            node
        } else {
            let mut client = tokio::process::Command::new(&self.client);
            client.arg(store);
            client
        };
        command.arg(url).args([CALLERS, connections].map(|number| number.to_string()));
        command.args([WARM_UP, MEASURE].map(|time| time.as_secs().to_string()));
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(RUN_PATIENCE, command.output()).await??;
        if !output.status.success() {
            return Err(format!("the client of {store} fails: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// A server with an empty file on the disk that PostgreSQL's data lie on. It ends with the value.
struct UmaDb {
    process: Child,
    url: String,
}

impl UmaDb {
    async fn start(program: &Path, folder: &Path) -> Result<Self, Failure> {
        let folder = folder.join("umadb");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = File::create(folder.join("umadb.log"))?;
        let mut command = Command::new(program);
        command.arg("--listen").arg(address.to_string()).arg("--db-path").arg(folder.join("uma.db"));
        let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let server = Self { process, url: format!("http://{address}") };
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if begun.elapsed() > START_PATIENCE {
                return Err("UmaDB does not answer; see umadb.log".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }
}

impl Drop for UmaDb {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn of(runs: &[Measured], figure: fn(&Measured) -> f64) -> f64 {
    median(runs.iter().map(figure).collect())
}

fn summary(rows: &[(&str, Vec<Measured>)]) -> String {
    let mut text = format!(
        "## Beside other event stores\n\n`make bench-peers`: {}. One event an append, on the condition that nobody else has \
         appended to the stream, by {CALLERS} callers at once over {} rooms. Client, server and PostgreSQL share the machine. \
         Convoke answers over HTTP, with rules, idempotency, a chain of hashes and all read models; the others append and no more. \
         Those on PostgreSQL share the private server with it, and {POOL} connections; UmaDB has a file of its own on the same disk. \
         message-db takes a lock for each category of streams: all rooms in one, or each in its own. Median of {ROUNDS} rounds of {} s, \
         in turns.\n\n",
        machine(),
        CALLERS * ROOMS_EACH,
        MEASURE.as_secs(),
    );
    text.push_str("| what | rate /s | p50 ms | p99 ms | max ms | rate, to Convoke's |\n|---|---|---|---|---|---|\n");
    let ours = of(&rows[0].1, |run| run.rate);
    for (what, runs) in rows {
        let (rate, p50) = (of(runs, |run| run.rate), of(runs, |run| run.p50_ms));
        let (p99, max) = (of(runs, |run| run.p99_ms), of(runs, |run| run.max_ms));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {what} | {rate:.0} | {p50:.2} | {p99:.2} | {max:.2} | {:.2} |", rate / ours);
    }
    text
}
