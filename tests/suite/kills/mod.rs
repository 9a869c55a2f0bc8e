//! SIGKILL under load, again and again: of the server, and of PostgreSQL under it. What was acknowledged is there once, what was
//! refused is not, and the log is whole.

pub mod load;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use convoke::database::embedded;
use convoke::events::log::EventLog;
use convoke::events::log::verify::VerifyResult;
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Run, Server, TestDb, eventually, free_port};
use load::{Answered, Load};

/// As many as the log's promise names.
const KILLS: usize = 20;

/// Acknowledged between one kill and the next, so that each falls into work.
const WORK: u64 = 40;

const CALLERS: usize = 12;

const PATIENCE: Duration = Duration::from_secs(120);

async fn work_goes_on(load: &Load, seen: &AtomicU64) {
    let before = seen.load(Ordering::Relaxed);
    let now = eventually("commands are acknowledged again", PATIENCE, async || {
        Some(load.acknowledged()).filter(|count| *count >= before + WORK)
    })
    .await;
    seen.store(now, Ordering::Relaxed);
}

/// A moment that differs from kill to kill, so that they fall on different steps.
async fn a_moment(number: usize) {
    tokio::time::sleep(Duration::from_millis((number as u64 * 37) % 90)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_twenty_times_under_load_loses_and_doubles_nothing() {
    let run = load::signed(Run::new()).with("CONVOKE_HTTP_LISTEN", &format!("127.0.0.1:{}", free_port()));
    let mut server = run.clone().serve().await;
    let load = Load::start(&[&server.url], CALLERS).await;
    let seen = AtomicU64::new(0);
    for number in 0..KILLS {
        work_goes_on(&load, &seen).await;
        a_moment(number).await;
        server.kill();
        server = run.clone().serve().await;
    }
    work_goes_on(&load, &seen).await;
    let answered = load.stop().await;
    account_private(&run, &answered).await;
    assert!(server.terminate().await.success(), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_killed_twenty_times_under_the_server_loses_and_doubles_nothing() {
    let run = load::signed(Run::new());
    let mut server = run.clone().serve().await;
    let load = Load::start(&[&server.url], CALLERS).await;
    let seen = AtomicU64::new(0);
    for number in 0..KILLS {
        work_goes_on(&load, &seen).await;
        a_moment(number).await;
        kill_postgres(&run, number).await;
    }
    work_goes_on(&load, &seen).await;
    let answered = load.stop().await;
    ready_again(&server).await;
    account_private(&run, &answered).await;
    assert!(server.terminate().await.success(), "{}", server.log());
}

/// The whole server by its first process, or, every other time, one of the processes that work for it.
async fn kill_postgres(run: &Run, number: usize) {
    let postmaster = postmaster(run).await;
    let victim = if number.is_multiple_of(2) { postmaster } else { backend(run).await.unwrap_or(postmaster) };
    // It may have gone by itself, as a backend does.
    let _ = kill_process(victim, Signal::KILL);
}

async fn postmaster(run: &Run) -> Pid {
    let file = run.folder.join(".convoke/postgres/data/postmaster.pid");
    eventually("PostgreSQL runs", PATIENCE, async || {
        let text = std::fs::read_to_string(&file).ok()?;
        let pid = Pid::from_raw(text.lines().next()?.parse().ok()?)?;
        rustix::process::test_kill_process(pid).is_ok().then_some(pid)
    })
    .await
}

/// A backend that is busy with the log, if one can be asked for.
async fn backend(run: &Run) -> Option<Pid> {
    let options = embedded::join(&run.folder.join(".convoke")).await.ok()?;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect_with(options).await.ok()?;
    let pid: Option<i32> = sqlx::query_scalar(
        "SELECT pid FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND query LIKE '%convoke.append%'
         LIMIT 1",
    )
    .fetch_optional(&pool)
    .await
    .ok()?;
    pool.close().await;
    Pid::from_raw(pid?)
}

async fn ready_again(server: &Server) {
    eventually("the server is ready again", PATIENCE, async || {
        (server.get("/health/ready").await.status() == 200).then_some(())
    })
    .await;
}

async fn account_private(run: &Run, answered: &[Answered]) {
    let options = eventually("the private PostgreSQL answers", PATIENCE, async || {
        embedded::join(&run.folder.join(".convoke")).await.ok()
    })
    .await;
    let pool = sqlx::postgres::PgPoolOptions::new().connect_with(options).await.unwrap();
    account(&EventLog::new(pool.clone().into()), answered).await;
    pool.close().await;
}

/// Every acknowledged command has its event at the place that was answered, once; none that was refused has one.
async fn account(log: &EventLog, answered: &[Answered]) {
    let head = log.head().await.unwrap().position;
    let events = log.read(0, usize::try_from(head).unwrap() + 1).await.unwrap();
    assert!(events.iter().map(|event| event.position).eq(1..=head), "positions have no gap");
    let joins = load::joins(&events);
    let (mut accepted, mut refused) = (0, 0);
    for answer in answered {
        match answer {
            Answered::Accepted { identity, position, room_version } => {
                accepted += 1;
                assert_eq!(
                    joins.get(identity).map(Vec::as_slice),
                    Some(&[(*position, *room_version)][..]),
                    "{identity}"
                );
            }
            Answered::Refused { identity } => {
                refused += 1;
                assert_eq!(joins.get(identity), None, "{identity} was refused");
            }
        }
    }
    assert!(accepted > WORK * 5 && refused > 0, "{accepted} accepted, {refused} refused");
    assert_eq!(joins.len() as u64, accepted, "what is in the log was acknowledged: every caller asked until answered");
    let verdict = log.verify(|_, _| true).await.unwrap();
    assert!(matches!(verdict, VerifyResult::Whole { .. }), "{verdict:?}");
}

/// Two processes on one log, 32 callers, one of the processes killed again and again: the other goes on, and together they lose and
/// double nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_log_keep_one_order_while_one_is_killed() {
    let db = TestDb::new().await;
    let run = load::signed(Run::on(&db)).with("CONVOKE_MASTER_KEYS", load::MASTER_KEY);
    let steady = run.clone().serve().await;
    let restarted = run.with("CONVOKE_HTTP_LISTEN", &format!("127.0.0.1:{}", free_port()));
    let mut killed = restarted.clone().serve().await;
    let load = Load::start(&[&steady.url, &killed.url], 32).await;
    let seen = AtomicU64::new(0);
    for number in 0..5 {
        work_goes_on(&load, &seen).await;
        a_moment(number).await;
        killed.kill();
        work_goes_on(&load, &seen).await;
        killed = restarted.clone().serve().await;
    }
    work_goes_on(&load, &seen).await;
    let answered = load.stop().await;
    account(&EventLog::new(db.system.clone()), &answered).await;
}
