//! Archives open in other people's tools as they are, and lie in other people's stores.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use sqlx::Row as _;

use super::{OLD, PATIENCE, Past, past};
use crate::harness::{Guarded, Run, client, eventually, free_port, python};

/// What the database says, before the events leave it.
async fn asked(past: &Past, statement: &'static str) -> Vec<String> {
    let rows = sqlx::query(statement).fetch_all(&past.db.owner).await.unwrap();
    rows.iter().map(|row| (0..row.len()).map(|at| row.get::<String, _>(at)).collect::<Vec<_>>().join("\t")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duckdb_and_pandas_answer_from_the_files_what_the_database_answered() {
    let past = past(81, 3, 300).await;
    past.fold().await;
    let questions = [
        asked(
            &past,
            "SELECT to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM'), count(*)::text FROM convoke.log
             WHERE event_type = 'room.participant-joined' AND recorded_at < '2024-04-01Z' GROUP BY 1 ORDER BY 1",
        )
        .await,
        asked(
            &past,
            "SELECT tenant, data->>'author', count(*)::text FROM convoke.log
             WHERE event_type = 'room.message-sent' AND recorded_at < '2024-04-01Z'
             GROUP BY 1, 2 ORDER BY count(*) DESC, 1, 2 LIMIT 5",
        )
        .await,
        asked(
            &past,
            "SELECT room::text, count(*)::text,
                trim_scale((percentile_cont(0.5) WITHIN GROUP (ORDER BY (data->>'seconds')::bigint))::numeric)::text
             FROM convoke.log WHERE event_type = 'room.participant-left' AND recorded_at < '2024-04-01Z'
             GROUP BY room ORDER BY count(*) DESC, room LIMIT 5",
        )
        .await,
        asked(
            &past,
            "SELECT event_type, count(*)::text FROM convoke.log WHERE recorded_at < '2024-02-01Z' GROUP BY 1 ORDER BY 1",
        )
        .await,
    ];
    assert!(questions.iter().all(|answers| answers.len() > 2), "{questions:?}");
    past.archive(OLD).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/archives/questions.py");
    let ended = Command::new(python()).arg(script).arg(&*past.folder).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let told = String::from_utf8(ended.stdout).unwrap();
    // DuckDB writes a median as a floating number.
    let answers =
        told.lines().filter_map(|line| line.strip_prefix("  ")).map(|line| line.trim_end_matches(".0").to_owned());
    assert_eq!(answers.collect::<Vec<_>>(), questions.concat(), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_column_of_every_event_is_in_the_file_as_it_was_in_the_log() {
    let past = past(82, 1, 300).await;
    past.fold().await;
    let columns = "position::text, room_version::text, extract(epoch FROM recorded_at)::text,
        coalesce(extract(epoch FROM occurred_at)::text, '-'), tenant, room::text, event_type, type_version::text, actor,
        coalesce(session::text, '-'), command_id::text, data::text, coalesce(encode(sealed, 'hex'), '-'), encode(hash, 'hex')";
    let statement =
        format!("SELECT {columns} FROM convoke.log l WHERE recorded_at < '2024-02-01Z' ORDER BY l.position");
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&past.db.owner).await.unwrap();
    let log: Vec<_> = rows
        .iter()
        .map(|row| (0..row.len()).map(|at| row.get::<String, _>(at)).collect::<Vec<_>>().join("|"))
        .collect();
    past.archive(OLD).await;
    let script = r#"
import sys, glob, duckdb
db = duckdb.connect()
rows = db.execute("""SELECT position::VARCHAR, room_version::VARCHAR, printf('%d.%06d', epoch_us(recorded_at) // 1000000, epoch_us(recorded_at) % 1000000),
    coalesce(printf('%d.%06d', epoch_us(occurred_at) // 1000000, epoch_us(occurred_at) % 1000000), '-'), tenant, room::VARCHAR, event_type, type_version::VARCHAR, actor,
    coalesce(session::VARCHAR, '-'), command_id::VARCHAR, data::VARCHAR, coalesce(lower(hex(sealed)), '-'), lower(hex(hash))
    FROM read_parquet(?) ORDER BY position""", [sys.argv[1] + "/*.events.parquet"]).fetchall()
for row in rows:
    print("|".join(row))
"#;
    let ended = Command::new(python()).args(["-c", script]).arg(&*past.folder).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let told = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(told.lines().collect::<Vec<_>>(), log);
    assert!(log.len() > 100);
}

/// A server that speaks the S3 API.
struct Bucket {
    address: String,
    process: Guarded,
}

impl Bucket {
    async fn start() -> Self {
        let port = free_port();
        let mut command = Command::new(python());
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let bucket = Self { address: format!("http://127.0.0.1:{port}"), process: Guarded::spawn(&mut command) };
        let client = client(reqwest::Client::builder());
        eventually("the store answers", PATIENCE, async || {
            let made = client.put(format!("{}/rooms", bucket.address)).send().await.ok()?;
            made.status().is_success().then_some(())
        })
        .await;
        bucket
    }

    fn options(&self) -> String {
        format!("endpoint={};region=us-east-1;access_key_id=test;secret_access_key=test", self.address)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn archives_lie_in_a_bucket_and_read_from_there() {
    let past = past(83, 2, 200).await;
    past.fold().await;
    let mut bucket = Bucket::start().await;
    let run = || -> Run {
        past.run()
            .with("CONVOKE_ARCHIVE_URL", "s3://rooms/archive/2024")
            .with("CONVOKE_ARCHIVE_OPTIONS", &bucket.options())
    };
    let before = past.run().args(["log", "read", "--json", "--limit", "100000"]).run().await;
    let report = run().args(["archive", "run", "--json", "--older-than", OLD]).json().await;
    let files: BTreeMap<_, _> = report["moved"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["partition"].as_str().unwrap(), one["file"].as_str().unwrap()))
        .collect();
    assert_eq!(files.len(), 2, "{report}");
    assert!(files["log_20240101"].starts_with("s3://rooms/archive/2024/log_20240101."), "{report}");
    let after = run().args(["log", "read", "--json", "--limit", "100000"]).run().await;
    assert!(after.status == 0 && after.stdout == before.stdout, "{after:?}");
    let verified = run().args(["log", "verify"]).run().await;
    assert_eq!(verified.status, 0, "{verified:?}");
    let run = run();
    bucket.process.end();
    let ended = run.args(["log", "verify"]).run().await;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("s3://rooms/archive/2024/log_20240101") && ended.stderr.contains("cannot be reached"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("secret_access_key"), "{ended:?}");
}
