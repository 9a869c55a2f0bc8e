//! Imports that were killed, stopped, or met another.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::{content, import, many};
use crate::harness::{Run, TestDb, eventually, folder};

const SOON: Duration = Duration::from_secs(60);
const SETS: usize = 12;

/// Batches of sixteen lines.
fn in_small_batches(run: Run) -> Run {
    run.with("CONVOKE_LOG_APPEND_BATCH", "1").args(["--recorded-as-occurred"])
}

async fn done(db: &TestDb) -> u64 {
    let done: Option<i64> =
        sqlx::query_scalar("SELECT max(done) FROM convoke.intake_progress").fetch_one(&db.system).await.unwrap();
    done.unwrap_or(0).try_into().unwrap()
}

async fn comes_to(db: &TestDb, line: u64) {
    eventually("the import gets on", SOON, async || (done(db).await >= line).then_some(())).await;
}

fn spawn(run: &Run, input: Stdio) -> Child {
    let mut command = Command::from(run.command());
    command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

/// The content that an import without any disturbance gives, and its report.
async fn undisturbed(file: &Path) -> ((i64, String), Value) {
    let db = TestDb::new().await;
    let report = import(&db, file).args(["--recorded-as-occurred"]).json().await;
    (content(&db).await, report)
}

#[tokio::test]
async fn killed_again_and_again_it_comes_to_the_same_as_if_it_had_not_been() {
    let (db, folder) = (TestDb::new().await, folder());
    let file = folder.join("lines");
    std::fs::write(&file, many(SETS)).unwrap();
    let run = in_small_batches(import(&db, &file));
    let lines = many(SETS).lines().count() as u64;
    for kill in 1..=6 {
        let mut child = spawn(&run, Stdio::null());
        comes_to(&db, kill * lines / 8).await;
        child.kill().await.unwrap();
    }
    assert!(done(&db).await < lines, "the last kill came before the end");
    let report = run.json().await;
    let (expected, whole) = undisturbed(&file).await;
    assert_eq!(content(&db).await, expected);
    for part in ["done", "lines", "applied", "unchanged", "refused", "events"] {
        assert_eq!(report[part], whole[part], "the report is of the whole: {part}");
    }
    assert!(report["this_run"]["lines"].as_u64().unwrap() < lines / 2);
}

#[tokio::test]
async fn told_to_stop_it_ends_after_its_batch_and_can_be_gone_on_with() {
    let (db, folder) = (TestDb::new().await, folder());
    let file = folder.join("lines");
    std::fs::write(&file, many(SETS)).unwrap();
    let run = in_small_batches(import(&db, &file));
    let child = spawn(&run, Stdio::null());
    comes_to(&db, 100).await;
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), Signal::INT).unwrap();
    let ended = child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!((&report["done"], &report["lines"]), (&false.into(), &done(&db).await.into()));
    assert_eq!(run.json().await["done"], true);
    assert_eq!(content(&db).await, undisturbed(&file).await.0);
}

#[tokio::test]
async fn a_stream_is_known_by_its_name_and_excludes_another_of_the_same() {
    let (db, folder) = (TestDb::new().await, folder());
    let (text, file) = (many(2), folder.join("lines"));
    std::fs::write(&file, &text).unwrap();
    let streamed = in_small_batches(import(&db, Path::new("-")).args(["--name", "stream"]));
    let half = text[..text.len() / 2].rfind('\n').unwrap() + 1;
    let mut child = spawn(&streamed, Stdio::piped());
    let mut input = child.stdin.take().unwrap();
    input.write_all(&text.as_bytes()[..half]).await.unwrap();
    comes_to(&db, 8).await;
    let other = in_small_batches(import(&db, &file).args(["--name", "stream"])).run().await;
    assert!(other.stderr.contains("another process imports this source now"), "{other:?}");
    child.kill().await.unwrap();
    drop(input);

    let mut child = spawn(&streamed, Stdio::piped());
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).await.unwrap();
    drop(input);
    let ended = child.wait_with_output().await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let report: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(report["lines"], text.lines().count());
    assert!(content(&db).await.0 > 0);
}
