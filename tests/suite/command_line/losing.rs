//! The database is lost under every command, over a socket and over TCP, at ten points of its way each.

use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::printing::{To, printed};
use super::{Fixture, Needs, commands, needs, tells_an_error};
use crate::harness::{Cut, Cutting, Ended, Over, Run, TestDb};

const POINTS: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(60);
/// Commands that run side by side, each on a log of its own.
const SIDE_BY_SIDE: usize = 3;

/// The bytes of the server's that a command needs to come to its end; of one that has none, to begin.
async fn whole_way(run: Run, way: &Cutting, announcement: Option<&str>) -> u64 {
    let Some(announcement) = announcement else {
        let ended = printed(&run, To::Test, To::Test).await;
        assert_eq!(ended.status, 0, "{:?}: {ended:?}", run.command());
        return way.passed();
    };
    let mut command = tokio::process::Command::from(run.command());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it begins").unwrap();
    assert!(first.is_some_and(|line| line.contains(announcement)), "{announcement}");
    way.passed()
}

/// Cuts a command off and holds it to its word.
pub async fn is_lost_at_every_point(path: &str, db: &TestDb, run: impl Fn(u32, &str) -> Run) {
    // What it prints first, of a command that does not end by itself.
    let announcement = match path {
        "serve" => Some("listening on"),
        "log tail" => Some("room.created"),
        _ => None,
    };
    let begun = Instant::now();
    for over in [Over::Socket, Over::Tcp] {
        let mut own = Vec::new();
        // As it is each time: a database may be the command's own.
        let mut to = async |number: u32, bound: u64, how: Cut| {
            let copy = match needs(path) {
                Needs::EmptyDatabase => Some(TestDb::empty().await),
                Needs::OwnLog => Some(db.copy().await),
                _ => None,
            };
            let way = Cutting::after(copy.as_ref().unwrap_or(db), over, bound, how).await;
            own.extend(copy);
            (run(number, &way.url), way)
        };
        let first = if over == Over::Socket { 0 } else { POINTS + 1 };
        let (uncut, way) = to(first, u64::MAX, Cut::Closed).await;
        let all = whole_way(uncut, &way, announcement).await;
        for point in 0..POINTS {
            let how = if point % 2 == 0 { Cut::Closed } else { Cut::Reset };
            let bound = all * u64::from(point) / u64::from(POINTS);
            let (cut, way) = to(first + 1 + point, bound, how).await;
            let at = format!("convoke {path} over {over:?}, {how:?} after {bound} of {all} bytes");
            let ended = if path == "serve" {
                // A server that has come up goes on without its database, and comes back with it.
                let Some(ended) = does_not_come_up(&cut).await else { continue };
                ended
            } else {
                printed(&cut, To::Test, To::Test).await
            };
            if way.is_cut() {
                assert!(tells_an_error(&ended), "{at}: {ended:?}");
            } else {
                // It took a shorter way than the first time.
                assert_eq!(ended.status, 0, "{at}: {ended:?}");
            }
        }
    }
    println!("convoke {path}: {:?}", begun.elapsed());
}

/// How a server ended before it served; `None`: it serves.
async fn does_not_come_up(run: &Run) -> Option<Ended> {
    let mut command = tokio::process::Command::from(run.command());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it comes up or ends").unwrap();
    if first.is_some() {
        return None;
    }
    let ended = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    Some(Ended { status: ended.status.code().unwrap_or(-1), stdout: String::new(), stderr })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_loses_its_database_fails_and_says_so() {
    let fixture = Fixture::new().await;
    let known: Vec<String> = commands().into_iter().map(|known| known.path).collect();
    let tried: Vec<&String> =
        known.iter().filter(|path| ![Needs::Nothing, Needs::Kafka].contains(&needs(path))).collect();
    assert!(tried.len() > 20, "{tried:?}");
    let mut logs = Vec::new();
    for path in tried {
        logs.push((path, fixture.db.copy().await));
    }
    let fixture = &fixture;
    stream::iter(&logs)
        .map(async |(path, db)| {
            let server = match needs(path) {
                Needs::Server => Some(fixture.run(&db.url).serve().await),
                _ => None,
            };
            is_lost_at_every_point(path, db, |number, url| fixture.command(path, number, url)).await;
            drop(server);
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .collect::<Vec<()>>()
        .await;
}
