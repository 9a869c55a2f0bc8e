//! Output that nobody reads any more, and output that cannot be written.

use std::fs::File;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use rustix::process::Signal;

use super::{Fixture, Known, Needs, commands, needs, tells_an_error};
use crate::harness::{Ended, Guarded, Run, TestDb, client, eventually, free_port};

const PATIENCE: Duration = Duration::from_secs(60);
/// Commands that run side by side.
const SIDE_BY_SIDE: usize = 3;

/// Where a stream of a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Test,
    /// A pipe whose reader has gone.
    ClosedPipe,
    FullDisk,
}

impl To {
    fn stdio(self) -> Stdio {
        match self {
            Self::Test => Stdio::piped(),
            Self::ClosedPipe => std::io::pipe().unwrap().1.into(),
            Self::FullDisk => File::options().write(true).open("/dev/full").unwrap().into(),
        }
    }
}

pub async fn printed(run: &Run, stdout: To, stderr: To) -> Ended {
    let mut command = tokio::process::Command::from(run.command());
    command.stdin(Stdio::null()).stdout(stdout.stdio()).stderr(stderr.stdio()).kill_on_drop(true);
    let ended = command.spawn().unwrap().wait_with_output();
    let ended =
        tokio::time::timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("it ends: {:?}", run.command())).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { status: ended.status.code().unwrap_or(-1), stdout: text(ended.stdout), stderr: text(ended.stderr) }
}

/// Holds a command to what is promised of printing. `run`: another one each time.
pub async fn prints_well(what: &str, mut run: impl AsyncFnMut() -> (Run, Option<TestDb>)) {
    let mut print = async |stdout, stderr| {
        let (run, _db) = run().await;
        printed(&run, stdout, stderr).await
    };
    let usual = print(To::Test, To::Test).await;
    assert!([0, 1].contains(&usual.status) && !usual.stderr.contains("error: "), "{what}: {usual:?}");
    let closed = print(To::ClosedPipe, To::Test).await;
    let quiet = ["panicked", "error: ", "roken pipe"].iter().all(|word| !closed.stderr.contains(word));
    assert!(closed.status == usual.status && quiet, "{what} | true: {closed:?}, and otherwise {usual:?}");
    let full = print(To::FullDisk, To::Test).await;
    if usual.stdout.is_empty() {
        assert_eq!(full.status, usual.status, "{what} > /dev/full: {full:?}");
    } else {
        let told = full.stderr.contains("standard output cannot be written: No space left on device");
        assert!(tells_an_error(&full) && told, "{what} > /dev/full: {full:?}");
    }
    for stderr in [To::ClosedPipe, To::FullDisk] {
        let mute = print(To::Test, stderr).await;
        assert_eq!(mute.status, usual.status, "{what} 2> {stderr:?}: {mute:?}, and otherwise {usual:?}");
    }
}

/// Each time another number.
fn number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

async fn every_way(known: &Known, fixture: &Fixture) {
    let path = known.path.as_str();
    let json: &[Option<&str>] = if known.has_json { &[None, Some("--json")] } else { &[None] };
    for json in json {
        let what = format!("convoke {path} {}", json.unwrap_or_default());
        let run = |url: &str| fixture.command(path, number(), url).args(json.iter().copied());
        prints_well(what.trim(), async || match needs(path) {
            Needs::EmptyDatabase => {
                let empty = TestDb::empty().await;
                (run(&empty.url), Some(empty))
            }
            Needs::OwnLog => {
                let copy = fixture.db.copy().await;
                (run(&copy.url), Some(copy))
            }
            _ => (run(&fixture.db.url), None),
        })
        .await;
    }
    let help = fixture.run(&fixture.db.url).args(path.split(' ')).args(["--help"]);
    prints_well(&format!("convoke {path} --help"), async || (help.clone(), None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_ends_quietly_at_a_closed_pipe_and_with_an_error_at_a_full_disk() {
    let fixture = Fixture::new().await;
    // Tried apart; and what all others would go by is changed last.
    let apart = ["serve", "log tail", "log fence"];
    let tried: Vec<Known> = commands()
        .into_iter()
        .filter(|known| ![Needs::Server, Needs::Kafka].contains(&needs(&known.path)) && !apart.contains(&&*known.path))
        .collect();
    // Copies of a database are made while nobody is in it; and who searches all tables is not to meet some that go.
    let folds = ["projection rebuild", "projection verify"];
    let alone = |known: &&Known| needs(&known.path) == Needs::OwnLog || folds.contains(&known.path.as_str());
    let (own, shared): (Vec<_>, Vec<_>) = tried.iter().partition(alone);
    for known in own {
        every_way(known, &fixture).await;
    }
    stream::iter(shared)
        .map(|known| every_way(known, &fixture))
        .buffer_unordered(SIDE_BY_SIDE)
        .collect::<Vec<()>>()
        .await;
    let server = fixture.run(&fixture.db.url).serve().await;
    for known in commands().iter().filter(|known| needs(&known.path) == Needs::Server) {
        every_way(known, &fixture).await;
    }
    drop(server);
    for known in commands().iter().filter(|known| known.path == "log fence") {
        every_way(known, &fixture).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_events_ends_with_its_reader_and_an_export_with_the_disk() {
    let fixture = Fixture::new().await;
    for args in
        [&["log", "tail", "--from", "1"][..], &["export"], &["export", "-", "--json"], &["log", "read", "--json"]]
    {
        let run = fixture.run(&fixture.db.url).args(args.iter().copied());
        let closed = printed(&run, To::ClosedPipe, To::Test).await;
        assert!(closed.status == 0 && !closed.stderr.contains("error"), "{args:?} | true: {closed:?}");
        let full = printed(&run, To::FullDisk, To::Test).await;
        assert!(tells_an_error(&full) && full.stderr.contains("No space left"), "{args:?} > /dev/full: {full:?}");
    }
}

/// A command that tells a verdict by its exit code tells it also to those who do not read on.
#[tokio::test]
async fn a_verdict_is_not_lost_with_the_reader() {
    let fixture = Fixture::new().await;
    sqlx::query("UPDATE convoke.projections SET status = 'stopped', error = 'by hand', stopped_at = now()")
        .execute(&fixture.db.owner)
        .await
        .unwrap();
    let run = fixture.run(&fixture.db.url).args(["projection", "list"]);
    assert_eq!(printed(&run, To::ClosedPipe, To::Test).await.status, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_output_nobody_reads_serves_and_one_that_cannot_say_where_it_listens_does_not() {
    let fixture = Fixture::new().await;
    let port = free_port();
    let run = fixture.run(&fixture.db.url).args(["serve", "--listen", &format!("127.0.0.1:{port}")]);
    let full = printed(&run, To::FullDisk, To::Test).await;
    assert!(tells_an_error(&full) && full.stderr.contains("No space left"), "{full:?}");
    // Its log has nowhere to go either.
    for stderr in [To::ClosedPipe, To::FullDisk] {
        let mut command = run.command();
        command.stdin(Stdio::null()).stdout(To::ClosedPipe.stdio()).stderr(stderr.stdio());
        let mut server = Guarded::spawn(&mut command);
        let client = client(reqwest::Client::builder());
        eventually("it serves", PATIENCE, async || {
            let asked = client.get(format!("http://127.0.0.1:{port}/health/ready")).send().await.ok()?;
            (asked.status() == 200).then_some(())
        })
        .await;
        server.signal(Signal::TERM);
        let ended = eventually("it ends", PATIENCE, async || server.child.try_wait().unwrap()).await;
        assert!(ended.success(), "{ended:?}");
    }
}
