//! The private PostgreSQL of a server without a `DATABASE_URL`: made, kept, guarded, survived.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process, test_kill_process};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::harness::{Run, Server, eventually, folder};

const SOON: Duration = Duration::from_secs(60);
const NOBODY: u32 = 65534;

fn data_dir(run: &Run) -> PathBuf {
    run.folder.join(".convoke")
}

/// The process of the private server, which its data names.
fn postmaster(run: &Run) -> Option<Pid> {
    let text = fs::read_to_string(data_dir(run).join("postgres/data/postmaster.pid")).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

fn parent(pid: Pid) -> Pid {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(parent.trim().parse().unwrap()).unwrap()
}

fn is_alive(pid: Pid) -> bool {
    test_kill_process(pid).is_ok()
}

async fn is_ready(server: &Server) -> bool {
    server.get("/health/ready").await.status() == 200
}

/// Behind the server's back, by the socket of its private PostgreSQL.
async fn connect(run: &Run) -> PgConnection {
    let options = eventually("the private PostgreSQL answers", SOON, async || {
        convoke::database::embedded::join(&data_dir(run)).await.ok()
    })
    .await;
    options.connect().await.unwrap()
}

/// Leaves something in the database that a later start must find.
async fn leave_a_mark(run: &Run) {
    let mut connection = connect(run).await;
    sqlx::raw_sql("CREATE TABLE public.mark AS SELECT 42 AS number").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn assert_marked(run: &Run) {
    let mut connection = connect(run).await;
    let number: i32 = sqlx::query_scalar("SELECT number FROM public.mark").fetch_one(&mut connection).await.unwrap();
    assert_eq!(number, 42);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_server_starts_with_nothing_configured_stops_and_finds_its_data_again() {
    let run = Run::new();
    let mut server = run.clone().serve().await;
    assert!(is_ready(&server).await);
    leave_a_mark(&run).await;
    let postgres = postmaster(&run).expect("a private PostgreSQL");
    assert!(server.terminate().await.success());
    assert!(!is_alive(postgres), "the private PostgreSQL stops with its server");

    let mut server = run.clone().serve().await;
    assert!(is_ready(&server).await);
    assert_marked(&run).await;
    server.signal(Signal::INT);
    assert!(server.ended().await.success());
}

#[tokio::test]
async fn its_settings_are_durable_and_nobody_else_reaches_it() {
    let run = Run::new();
    let _server = run.clone().serve().await;
    let mut connection = connect(&run).await;
    for (name, wanted) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
    ] {
        let found: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&mut connection).await.unwrap();
        assert_eq!(found, wanted, "{name}");
    }
    // Debian builds PostgreSQL with lz4; who builds it without has no compression that costs little.
    let (found, has_lz4): (String, bool) =
        sqlx::query_as("SELECT setting, 'lz4' = ANY(enumvals) FROM pg_settings WHERE name = 'wal_compression'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(found, if has_lz4 { "lz4" } else { "off" });
    let home = fs::metadata(data_dir(&run).join("postgres")).unwrap();
    assert_eq!(home.permissions().mode() & 0o777, 0o700);
    assert_ne!(home.uid(), 0, "PostgreSQL does not run as root");
    let keys = fs::metadata(data_dir(&run).join("development-keys.toml")).unwrap();
    assert_eq!(keys.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_told_who_holds_it() {
    let run = Run::new();
    let server = run.clone().serve().await;
    let second = run.clone().with("CONVOKE_HTTP_LISTEN", "127.0.0.1:0").args(["serve"]).run().await;
    assert_eq!(second.status, 1, "{second:?}");
    let told = format!("in use by another convoke, process {}", server.pid);
    assert!(second.stderr.contains(&told) && second.stderr.contains("CONVOKE_DATA_DIR"), "{second:?}");
    assert!(is_ready(&server).await, "the first one serves on");
}

#[tokio::test]
async fn commands_use_the_private_database_beside_a_server_and_without_one() {
    let run = Run::new();
    let stat = || run.clone().args(["log", "stat", "--json"]).json();
    let alone = stat().await;
    assert_eq!(alone["position"], Value::from(0));
    assert_eq!(postmaster(&run), None, "what a command started it has stopped");
    let _server = run.clone().serve().await;
    let beside = stat().await;
    assert_eq!(alone["epoch"], beside["epoch"]);
}

#[tokio::test]
async fn a_killed_server_takes_its_postgresql_along_and_starts_again_at_once() {
    let run = Run::new();
    let mut server = run.clone().serve().await;
    leave_a_mark(&run).await;
    for _ in 0..3 {
        let postgres = postmaster(&run).expect("a private PostgreSQL");
        server.kill();
        // The old PostgreSQL may still be writing when the new server starts.
        server = run.clone().serve().await;
        assert!(!is_alive(postgres));
        assert_marked(&run).await;
    }
    let postgres = postmaster(&run).expect("a private PostgreSQL");
    server.kill();
    eventually("PostgreSQL stops after its killed server", SOON, async || (!is_alive(postgres)).then_some(())).await;
}

#[tokio::test]
async fn a_postgresql_that_outlived_its_server_is_stopped_by_the_next() {
    let run = Run::new();
    let mut server = run.clone().serve().await;
    leave_a_mark(&run).await;
    let postgres = postmaster(&run).expect("a private PostgreSQL");
    // Whoever would stop it is gone as well: first all that could hear of the server's death.
    let shell = parent(postgres);
    for child in children(shell).into_iter().filter(|child| *child != postgres).chain([shell]) {
        kill_process(child, Signal::KILL).unwrap();
    }
    server.kill();
    assert!(is_alive(postgres));
    let server = run.clone().serve().await;
    assert!(!is_alive(postgres));
    assert_marked(&run).await;
    assert!(server.log().contains("an earlier convoke left running"));
}

fn children(of: Pid) -> Vec<Pid> {
    let number = of.as_raw_nonzero();
    let text = fs::read_to_string(format!("/proc/{number}/task/{number}/children")).unwrap();
    text.split_whitespace().map(|child| Pid::from_raw(child.parse().unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn a_killed_postgresql_is_started_again_under_its_server() {
    let run = Run::new();
    let mut server = run.clone().serve().await;
    leave_a_mark(&run).await;
    for _ in 0..3 {
        let postgres = postmaster(&run).expect("a private PostgreSQL");
        kill_process(postgres, Signal::KILL).unwrap();
        eventually("another PostgreSQL, and the server ready", SOON, async || {
            let another = postmaster(&run).is_some_and(|found| found != postgres && is_alive(found));
            (another && is_ready(&server).await).then_some(())
        })
        .await;
        assert_marked(&run).await;
    }
    assert!(server.log().contains("the private PostgreSQL is running again"));
    assert!(server.terminate().await.success());
}

/// As a child does that waits for a lock of another that was killed: it does not see that its server is gone.
#[tokio::test]
async fn what_a_killed_postgresql_left_behind_for_ever_does_not_hinder_the_next() {
    let run = Run::new();
    let mut server = run.clone().serve().await;
    leave_a_mark(&run).await;
    let postgres = postmaster(&run).expect("a private PostgreSQL");
    let children = format!("/proc/{0}/task/{0}/children", postgres.as_raw_nonzero());
    let children = fs::read_to_string(children).unwrap();
    let of_name =
        |pid: &&str| fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|name| name.contains("walwriter"));
    let stuck = Pid::from_raw(children.split(' ').find(of_name).unwrap().parse().unwrap()).unwrap();
    kill_process(stuck, Signal::STOP).unwrap();
    kill_process(postgres, Signal::KILL).unwrap();
    eventually("another PostgreSQL, and the server ready", SOON, async || {
        let another = postmaster(&run).is_some_and(|found| found != postgres && is_alive(found));
        (another && is_ready(&server).await).then_some(())
    })
    .await;
    assert_marked(&run).await;
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn without_binaries_it_says_what_to_install() {
    let run = Run::new().with("CONVOKE_POSTGRES_BIN", "/nowhere").args(["serve"]);
    let ended = run.clone().run().await;
    assert_eq!(ended.status, 1, "{ended:?}");
    for words in ["no PostgreSQL 15 or newer", "/nowhere", "apt-get install postgresql", "DATABASE_URL"] {
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    assert!(!data_dir(&run).join("postgres").exists(), "nothing was made");
}

#[tokio::test]
async fn data_of_another_version_is_refused_and_left_alone() {
    let run = Run::new();
    run.clone().args(["log", "stat"]).run().await;
    let version = data_dir(&run).join("postgres/data/PG_VERSION");
    let true_version = fs::read_to_string(&version).unwrap();
    fs::write(&version, "99\n").unwrap();
    let ended = run.clone().args(["serve"]).run().await;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(ended.stderr.contains("written by PostgreSQL 99"), "{ended:?}");
    fs::write(&version, true_version).unwrap();
    assert_eq!(run.args(["log", "stat"]).run().await.status, 0);
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_one() {
    let top = folder();
    let deep = top.join("d".repeat(100));
    fs::create_dir(&deep).unwrap();
    let run = Run::in_folder(&top).with("CONVOKE_DATA_DIR", deep.join(".convoke").to_str().unwrap());
    let mut server = run.clone().serve().await;
    assert!(is_ready(&server).await);
    let beside = run.args(["log", "stat"]).run().await;
    assert_eq!(beside.status, 0, "{beside:?}");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn an_ordinary_user_runs_it_as_himself() {
    if !geteuid().is_root() {
        return; // Then every other test here is this one.
    }
    let home = folder();
    chown(&*home, Some(NOBODY), Some(NOBODY)).unwrap();
    let run = Run::in_folder(&home).by_user(NOBODY);
    let mut server = run.clone().serve().await;
    assert!(is_ready(&server).await);
    assert_eq!(fs::metadata(data_dir(&run).join("postgres/data")).unwrap().uid(), NOBODY);
    assert!(server.terminate().await.success());

    // Root takes it over as that user; another user does not.
    let mut server = Run::in_folder(&home).serve().await;
    assert!(is_ready(&server).await);
    assert_eq!(fs::metadata(data_dir(&run).join("postgres/data/postmaster.pid")).unwrap().uid(), NOBODY);
    assert!(server.terminate().await.success());
    let other = run.by_user(12345).args(["log", "stat"]).run().await;
    assert_eq!(other.status, 1);
    assert!(other.stderr.contains("CONVOKE_DATA_DIR"), "{other:?}");
}

#[tokio::test]
async fn where_postgresqls_user_cannot_go_the_data_lies_elsewhere_behind_a_link() {
    if !geteuid().is_root() {
        return; // Only root runs it as somebody else.
    }
    let top = folder();
    fs::set_permissions(&*top, fs::Permissions::from_mode(0o700)).unwrap();
    let run = Run::in_folder(&top);
    let mut server = run.clone().serve().await;
    leave_a_mark(&run).await;
    assert!(server.terminate().await.success());
    let link: &Path = &data_dir(&run).join("postgres");
    assert!(fs::read_link(link).unwrap().starts_with("/var/lib/convoke"));
    let _server = run.clone().serve().await;
    assert_marked(&run).await;
}
