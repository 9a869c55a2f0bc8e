//! Exports that are stopped, killed, cut off from the log, gone on with.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use convoke::events::log::EventLog;
use convoke::events::log::append::AppendBatch;
use convoke::events::sealed::Sealed;
use convoke::ids::RoomKey;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{export, lines, positions, text};
use crate::harness::{Run, TestDb, eventually, folder};
use crate::log::{log_of, more, now, room, room_of, write};

const SOON: Duration = Duration::from_secs(60);
/// Two pages of events without anything personal.
const FIRST: usize = 2_000;
const SECOND: usize = 700;
const ALL: u64 = (FIRST + SECOND) as u64;

/// Events, the later of them with a sealed part each.
async fn sealed_later() -> TestDb {
    let db = TestDb::new().await;
    let (log, key) = (log_of(&db), room());
    write(&log, &key, FIRST).await;
    append_sealed(&log, &key, SECOND).await;
    db
}

async fn append_sealed(log: &EventLog, key: &RoomKey, count: usize) {
    let mut later = more(log, 0, key, count).await;
    for event in &mut later.events {
        // As if under a key that is gone.
        let mut bytes = vec![7; 100];
        bytes[0] = 1;
        event.sealed = Some(Sealed(bytes.into()));
    }
    log.append(&AppendBatch::new(now(), vec![later])).await.unwrap();
}

/// Keeps everybody from the keys for as long as the connection lives.
async fn keys_held(db: &TestDb) -> PgConnection {
    let mut held = PgConnection::connect(&db.url).await.unwrap();
    held.execute("BEGIN").await.unwrap();
    held.execute("LOCK TABLE convoke.person_keys IN ACCESS EXCLUSIVE MODE").await.unwrap();
    held
}

fn spawn(run: &Run) -> Child {
    let mut command = Command::from(run.command());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), signal).unwrap();
}

/// Who waits for keys in this database; the server has those of other tests.
const WAITING: &str = "SELECT pid FROM pg_locks
    WHERE NOT granted AND relation = 'convoke.person_keys'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Ends the connections of those who wait for keys.
async fn cut_off(db: &TestDb) -> Vec<PgRow> {
    let cut_off = format!("SELECT pg_terminate_backend(pid) FROM ({WAITING}) waiting");
    db.owner.fetch_all(sqlx::AssertSqlSafe(cut_off)).await.unwrap()
}

/// Started, and waiting for keys: all that needs none is on its way.
async fn halfway(db: &TestDb, run: &Run) -> Child {
    let child = spawn(&run.clone().args(["--open"]));
    eventually("it waits for keys", SOON, async || {
        let waiting = db.owner.fetch_all(WAITING).await.unwrap();
        (!waiting.is_empty()).then_some(())
    })
    .await;
    child
}

async fn ends(child: Child) -> (Option<i32>, String, String) {
    let ended = tokio::time::timeout(SOON, child.wait_with_output()).await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

fn beside(file: &Path) -> std::path::PathBuf {
    file.with_file_name(format!("{}.part", file.file_name().unwrap().to_str().unwrap()))
}

/// What was told to be pasted, given to the program.
fn pasted(db: &TestDb, stderr: &str) -> Run {
    let line = stderr.lines().find_map(|line| line.trim().strip_prefix("convoke ")).expect("a command to go on with");
    Run::on(db).args(line.split(' '))
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_it_leaves_a_whole_file_that_is_gone_on_with_as_it_says() {
    let (db, folder) = (sealed_later().await, folder());
    let whole = export(&db, &["--open"]).run().await.stdout;
    for name in ["log", "log.gz", "log.zst"] {
        let file = folder.join(name);
        let held = keys_held(&db).await;
        let child = halfway(&db, &export(&db, &[file.to_str().unwrap()])).await;
        eventually("it is written beside", SOON, async || beside(&file).exists().then_some(())).await;
        assert!(!file.exists(), "it appears once it is whole");
        signal(&child, Signal::INT);
        eventually("it appears", SOON, async || file.exists().then_some(())).await;
        held.close().await.unwrap();
        let (status, _, stderr) = ends(child).await;
        assert_eq!(status, Some(1), "{stderr}");
        assert!(stderr.contains(&format!("valid up to position {FIRST}; continue with")), "{stderr}");
        assert_eq!(positions(&text(&file)), (1..=FIRST as u64).collect::<Vec<_>>());
        let gone_on = pasted(&db, &stderr).run().await;
        assert_eq!(gone_on.status, 0, "{gone_on:?}");
        assert_eq!(text(&file), whole, "nothing is doubled or lost");
        assert!(!beside(&file).exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_it_leaves_no_file_and_what_was_there_is_as_it_was() {
    let (db, folder) = (sealed_later().await, folder());
    let file = folder.join("log.zst");
    let path = file.to_str().unwrap();
    assert_eq!(export(&db, &["--to", "10", path]).run().await.status, 0);
    let before = std::fs::read(&file).unwrap();
    let held = keys_held(&db).await;
    for how in ["--append", "--force"] {
        let mut child = halfway(&db, &export(&db, &[how, path])).await;
        let second = export(&db, &[how, path]).run().await;
        assert!(second.status == 1 && second.stderr.contains("another export"), "{second:?}");
        child.kill().await.unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), before, "{how}");
        // The server has heard of it before the next one comes.
        eventually("nobody waits", SOON, async || cut_off(&db).await.is_empty().then_some(())).await;
    }
    held.close().await.unwrap();
    assert!(beside(&file).exists());
    assert_eq!(export(&db, &["--append", path]).run().await.status, 0);
    assert_eq!(positions(&text(&file)), (1..=ALL).collect::<Vec<_>>());
    assert!(!beside(&file).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_from_the_log_the_file_is_whole_as_far_as_it_came() {
    let (db, folder) = (sealed_later().await, folder());
    let file = folder.join("log.gz");
    let held = keys_held(&db).await;
    let child = halfway(&db, &export(&db, &["--json", file.to_str().unwrap()])).await;
    cut_off(&db).await;
    let (status, stdout, stderr) = ends(child).await;
    held.close().await.unwrap();
    assert!(status == Some(1) && stderr.contains("error: the export is incomplete: "), "{stderr}");
    let report = &serde_json::from_str::<serde_json::Value>(&stdout).unwrap();
    assert_eq!((&report["done"], &report["through"]), (&false.into(), &FIRST.into()), "{report}");
    assert_eq!(positions(&text(&file)).len(), FIRST);
    assert_eq!(pasted(&db, &stderr).run().await.status, 0);
    assert_eq!(positions(&text(&file)), (1..=ALL).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_where_the_log_ended_and_stopped_in_a_pipe_it_ends_with_a_whole_line() {
    let db = TestDb::new().await;
    let (log, key) = (log_of(&db), room());
    // More than a pipe and three pages hold.
    write(&log, &key, 6_000).await;
    for stop in [false, true] {
        let run = export(&db, &["--to", "6000", "--json"]);
        let mut child = spawn(&run);
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        output.read_line(&mut text).await.unwrap();
        if stop {
            signal(&child, Signal::INT);
        } else {
            write(&log, &key, 10).await;
        }
        output.read_to_string(&mut text).await.unwrap();
        let (status, _, stderr) = ends(child).await;
        let found = positions(&text);
        let last = *found.last().unwrap();
        assert!(text.ends_with('\n') && found.iter().copied().eq(1..=last), "{last}");
        if !stop {
            assert_eq!((status, last), (Some(0), 6_000), "{stderr}");
            continue;
        }
        assert!(status == Some(1) && last < 6_000, "{last}: {stderr}");
        let rest = pasted(&db, &stderr).run().await;
        assert!(positions(&rest.stdout).into_iter().eq(last + 1..=6_000), "the rest, up to the same end");
    }
    let now = positions(&export(&db, &["--after", "6000"]).run().await.stdout);
    assert_eq!(now, (6_001..=6_010).collect::<Vec<_>>());
    let run = export(&db, &[]);
    let mut child = spawn(&run);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).await.unwrap();
    write(&log, &key, 10).await;
    let mut rest = String::new();
    output.read_to_string(&mut rest).await.unwrap();
    let (_, _, stderr) = ends(child).await;
    assert_eq!(positions(&rest).last(), Some(&6_010), "what came after it had begun is not in it: {stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_export_takes_no_more_memory_than_a_short_one() {
    let folder = folder();
    let mut peaks = Vec::new();
    for (name, batches) in [("short", 6), ("long", 60)] {
        let db = TestDb::new().await;
        let (log, key) = (log_of(&db), room());
        for _ in 0..batches {
            let mut batch = more(&log, 0, &key, 500).await;
            for event in &mut batch.events {
                let data = serde_json::json!({ "identity": "x".repeat(2_000) }).to_string();
                event.data = RawValue::from_string(data).unwrap().into();
            }
            log.append(&AppendBatch::new(now(), vec![batch])).await.unwrap();
        }
        append_sealed(&log, &key, 1).await;
        let (file, held) = (folder.join(name), keys_held(&db).await);
        let child = halfway(&db, &export(&db, &[file.to_str().unwrap()])).await;
        // Its last page waits: it has been through all the others.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id().unwrap())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim().trim_end_matches(" kB");
        peaks.push(peak.parse::<u64>().unwrap() / 1024);
        held.close().await.unwrap();
        assert_eq!(ends(child).await.0, Some(0));
    }
    let size = std::fs::metadata(folder.join("long")).unwrap().len() / 1024 / 1024;
    assert!(size > 60 && peaks[1] < peaks[0] + 24, "MiB at most: {peaks:?}; the long one wrote {size}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_is_no_failure() {
    let db = TestDb::new().await;
    write(&log_of(&db), &room(), 6_000).await;
    let run = export(&db, &[]);
    let mut child = spawn(&run);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).await.unwrap();
    drop(output);
    let (status, _, stderr) = ends(child).await;
    assert_eq!(status, Some(0), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_grows_with_the_log_and_only_with_its_own() {
    let (db, folder) = (TestDb::new().await, folder());
    let (log, key) = (log_of(&db), room());
    for name in ["log", "log.gz", "log.zst"] {
        let file = folder.join(name);
        let path = file.to_str().unwrap();
        let append = async |args: &[&str]| export(&db, args).args(["--append", path]).run().await;
        for _ in 0..3 {
            write(&log, &key, 4).await;
            write(&log, &room_of("other"), 1).await;
            assert_eq!(append(&[]).await.status, 0);
            let before = std::fs::read(&file).unwrap();
            assert_eq!(append(&[]).await.status, 0, "nothing new");
            assert_eq!(std::fs::read(&file).unwrap(), before);
            let whole = export(&db, &[]).run().await.stdout;
            assert_eq!(text(&file), whole);
        }
        let (before, last) = (std::fs::read(&file).unwrap(), lines(&text(&file)).len().to_string());
        let (twice, gap) = (append(&["--after", "1"]).await, format!("{}", last.parse::<u64>().unwrap() + 1));
        assert!(twice.status == 1 && twice.stderr.contains("there twice"), "{twice:?}");
        write(&log, &key, 2).await;
        let missing = append(&["--after", &gap]).await;
        assert!(missing.status == 1 && missing.stderr.contains("would be missing"), "{missing:?}");
        let other = TestDb::new().await;
        write(&log_of(&other), &room(), 100).await;
        let foreign = export(&other, &["--append", path]).run().await;
        assert!(foreign.status == 1 && foreign.stderr.contains("not in this log"), "{foreign:?}");
        assert_eq!(std::fs::read(&file).unwrap(), before, "what was refused changed nothing");
        assert_eq!(append(&["--after", &last]).await.status, 0);
        assert_eq!(text(&file), export(&db, &[]).run().await.stdout);

        std::fs::write(&file, &before[..before.len() - 5]).unwrap();
        let cut = append(&[]).await;
        assert!(cut.status == 1 && cut.stderr.contains("is not a complete export"), "{cut:?}");
        let again = export(&db, &[path]).run().await;
        assert!(again.status == 1 && again.stderr.contains("--force"), "{again:?}");
        assert_eq!(export(&db, &["--force", path]).run().await.status, 0);
        std::fs::rename(&file, folder.join("plain.zst")).unwrap();
    }
    std::fs::write(folder.join("plain.zst"), "{}\n").unwrap();
    let plain = export(&db, &["--append", folder.join("plain.zst").to_str().unwrap()]).run().await;
    assert!(plain.status == 1 && plain.stderr.contains("holds plain text, its name says zstd"), "{plain:?}");
}
