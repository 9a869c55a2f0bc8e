//! The command line as a whole: help, configuration, migrations, starting and stopping.

use std::time::Duration;

use convoke::security::grants::Grants;
use rustix::process::Signal;
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tokio::io::AsyncWriteExt as _;

use crate::harness::{Run, Server, TestDb, Wire, eventually, tokens};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn without_a_command_it_shows_its_help() {
    let ended = Run::new().run().await;
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("serve"), "{ended:?}");
    let version = Run::new().args(["--version"]).run().await;
    assert_eq!((version.status, version.stdout.as_str()), (0, concat!("convoke ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[tokio::test]
async fn config_check_shows_what_is_in_force_and_hides_secrets() {
    let secret = format!("main:{}", "s3cret".repeat(8));
    let run = Run::new().with("CONVOKE_SIGNING_KEYS", &secret).with("CONVOKE_HTTP_LISTEN", "0.0.0.0:80");
    let text = run.clone().args(["config", "check"]).run().await;
    assert_eq!(text.status, 0, "{text:?}");
    assert!(text.stdout.contains("0.0.0.0:80  (environment)") && !text.stdout.contains("s3cret"), "{text:?}");
    let json = run.args(["config", "check", "--json"]).json().await;
    let settings = json["settings"].as_array().unwrap();
    let listen = settings.iter().find(|setting| setting["name"] == "CONVOKE_HTTP_LISTEN").unwrap();
    assert_eq!((&listen["value"], &listen["source"]), (&Value::from("0.0.0.0:80"), &Value::from("environment")));
}

#[tokio::test]
async fn config_check_tells_all_that_is_wrong_and_serve_does_not_start_with_it() {
    let run = Run::new().with("CONVOKE_HTTP_LISTEN", "nowhere").with("CONVOKE_STREAMS_LIMIT", "many");
    let checked = run.clone().args(["config", "check"]).run().await;
    assert_eq!(checked.status, 1);
    let served = run.clone().args(["serve"]).run().await;
    assert_eq!(served.status, 1);
    for told in [checked.stdout, served.stderr] {
        assert!(told.contains("CONVOKE_HTTP_LISTEN") && told.contains("CONVOKE_STREAMS_LIMIT"), "{told}");
    }
    assert!(!run.folder.join(".convoke").exists(), "nothing was made");
}

#[tokio::test]
async fn outside_development_a_server_does_not_start_without_keys() {
    let run = Run::new().with("CONVOKE_ENV", "production");
    for args in [["config", "check"].as_slice(), &["serve"]] {
        let ended = run.clone().args(args.iter().copied()).run().await;
        assert_eq!(ended.status, 1);
        let told = ended.stdout + &ended.stderr;
        assert!(told.contains("CONVOKE_SIGNING_KEYS") && told.contains("openssl rand"), "{told}");
    }
}

#[tokio::test]
async fn migrate_brings_an_empty_database_to_the_schema_once() {
    let db = TestDb::empty().await;
    let run = || Run::on(&db);
    let behind = run().args(["log", "stat"]).run().await;
    assert_eq!(behind.status, 1);
    assert!(behind.stderr.contains("convoke migrate"), "{behind:?}");
    let dry = run().args(["migrate", "--dry-run"]).run().await;
    assert_eq!(dry.status, 1);
    assert!(dry.stdout.contains("pending: 0001 log"), "{dry:?}");
    let first = run().args(["migrate"]).run().await;
    assert_eq!(first.status, 0, "{first:?}");
    assert!(first.stdout.contains("applied: 0001 log"), "{first:?}");
    let told = run().args(["migrate", "--json"]).json().await;
    assert_eq!((&told["migrations"], &told["applied"]), (&Value::Array(Vec::new()), &Value::Bool(true)));
    let second = run().args(["migrate"]).run().await;
    assert_eq!((second.status, second.stdout.as_str()), (0, "the schema is up to date\n"));
    assert_eq!(run().args(["log", "stat"]).run().await.status, 0);
}

#[tokio::test]
async fn two_servers_may_migrate_one_database_at_once() {
    let db = TestDb::empty().await;
    let (one, other) = tokio::join!(Run::on(&db).serve(), Run::on(&db).serve());
    for server in [one, other] {
        assert_eq!(server.get("/health/ready").await.status(), 200);
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let db = TestDb::new().await;
    let newer = "INSERT INTO public._sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of the future', true, '', 0)";
    sqlx::query(newer).execute(&db.owner).await.unwrap();
    let ended = Run::on(&db).args(["serve"]).run().await;
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("newer schema (migration 9999)"), "{ended:?}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_told_at_once_and_plainly() {
    let run = Run::new().with("DATABASE_URL", "postgres://convoke:hunter2@127.0.0.1:1/convoke");
    let ended = run.args(["migrate"]).run().await;
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("cannot be reached") && !ended.stderr.contains("hunter2"), "{ended:?}");
    assert_eq!(ended.stderr.matches("Connection refused").count(), 1, "{ended:?}");
    assert!(ended.stderr.contains("127.0.0.1:1 ") && ended.stderr.contains("DATABASE_URL"), "{ended:?}");
}

#[tokio::test]
async fn a_database_that_lets_nobody_in_or_gives_no_rights_says_why() {
    let db = TestDb::new().await;
    let mut superuser = db.superuser().connect().await.unwrap();
    superuser.execute("CREATE ROLE convoke_guest LOGIN").await.unwrap();
    superuser.close().await.unwrap();
    let (server, query) = db.url.split_once('?').unwrap();
    let (server, _) = server.rsplit_once('/').unwrap();
    let absent = format!("{server}/no_such_database?{query}");
    let absent = Run::new().with("DATABASE_URL", &absent).args(["serve"]).run().await;
    assert_eq!(absent.status, 1);
    assert!(absent.stderr.contains("\"no_such_database\" does not exist"), "{absent:?}");
    let guest = db.url.replacen("//convoke_owner@", "//convoke_guest@", 1);
    let guest = Run::new().with("DATABASE_URL", &guest).args(["serve"]).run().await;
    assert_eq!(guest.status, 1);
    assert!(guest.stderr.contains("refuses") && guest.stderr.contains("permission denied"), "{guest:?}");
}

#[tokio::test]
async fn a_taken_address_is_told_before_anything_is_made_with_the_setting_that_names_another() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let db = TestDb::empty().await;
    let (external, private) = (Run::on(&db), Run::new());
    for run in [&external, &private] {
        let ended = run.clone().args(["serve", "--listen", &address]).run().await;
        assert_eq!(ended.status, 1);
        assert!(ended.stderr.contains(&address) && ended.stderr.contains("CONVOKE_HTTP_LISTEN"), "{ended:?}");
    }
    let schema: Option<String> =
        sqlx::query_scalar("SELECT to_regnamespace('convoke')::text").fetch_one(&db.owner).await.unwrap();
    assert_eq!(schema, None, "no migration was applied");
    assert!(!private.folder.join(".convoke/postgres").exists(), "no private PostgreSQL was made");
}

#[tokio::test]
async fn a_setting_beside_its_file_and_an_unknown_sslmode_are_refused_by_name() {
    let db = TestDb::new().await;
    let both = Run::on(&db).with("DATABASE_URL_FILE", "/run/secrets/url").args(["log", "stat"]).run().await;
    assert!(
        both.status == 1 && both.stderr.contains("DATABASE_URL: it is set, and so is DATABASE_URL_FILE"),
        "{both:?}"
    );
    let unknown = db.url.replace("sslmode=disable", "sslmode=disabled");
    let unknown = Run::on(&db).with("DATABASE_URL", &unknown).args(["log", "stat"]).run().await;
    assert!(unknown.status == 1 && unknown.stderr.contains("sslmode \"disabled\" is not one of"), "{unknown:?}");
    // A host in the parameters alone, as libpq takes it.
    let (user, rest) = db.url.split_once("@localhost/").unwrap();
    let without_host =
        Run::on(&db).with("DATABASE_URL", &format!("{user}:none@/{rest}")).args(["log", "stat"]).run().await;
    assert_eq!(without_host.status, 0, "{without_host:?}");
}

#[tokio::test]
async fn each_way_of_asking_stops_a_server_well() {
    let db = TestDb::new().await;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut server = Run::on(&db).serve().await;
        assert!(server.output().starts_with("listening on http://127.0.0.1:"), "{}", server.output());
        server.signal(signal);
        assert!(server.ended().await.success(), "{signal:?}");
    }
}

#[tokio::test]
async fn the_printed_line_creates_a_room_when_pasted() {
    let db = TestDb::new().await;
    let server = Run::on(&db).serve().await;
    let output = server.output();
    let line = output.lines().find(|line| line.trim_start().starts_with("curl ")).expect("a line to paste").to_owned();
    let paste = async || {
        let output = tokio::process::Command::new("/bin/sh").arg("-c").arg(&line).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let created = paste().await;
    assert_eq!(created["events"][0]["type"], "room.created", "{created}");
    assert_eq!(paste().await["room"], created["room"], "pasted again, it answers with the same room");
}

/// A request that never becomes whole: a drain waits for it.
async fn half_a_request(server: &Server) -> tokio::net::TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // Without a good token it would be answered by its head alone.
    let token = tokens::of("dev", None, Grants::everything());
    let head =
        format!("POST /v1/rooms HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    // A whole request on another connection comes after it: by its answer, the half one has been taken in.
    server.get("/health/live").await;
    stream
}

#[tokio::test]
async fn a_second_signal_ends_a_server_at_once() {
    let db = TestDb::new().await;
    let mut server = tokens::accepted_by(Run::on(&db)).with("CONVOKE_SHUTDOWN_TIMEOUT", "1h").serve().await;
    let _held = half_a_request(&server).await;
    server.signal(Signal::INT);
    eventually("the first signal is heard", SOON, async || server.log().contains("stopping").then_some(())).await;
    server.signal(Signal::INT);
    assert_eq!(server.ended().await.code(), Some(130));
}

#[tokio::test]
async fn a_stop_waits_no_longer_than_configured() {
    let db = TestDb::new().await;
    let mut server = tokens::accepted_by(Run::on(&db)).with("CONVOKE_SHUTDOWN_TIMEOUT", "1s").serve().await;
    let _held = half_a_request(&server).await;
    assert_eq!(server.terminate().await.code(), Some(1));
    assert!(server.log().contains("not ended 1s after the stop, and aborted: "), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_does_not_hold_up_the_end() {
    let db = TestDb::new().await;
    let wire = Wire::to(&db).await;
    let run = Run::new().with("DATABASE_URL", &wire.url).with("CONVOKE_SHUTDOWN_TIMEOUT", "2s");
    let mut server = run.clone().serve().await;
    let mut tail = run.args(["log", "tail"]).command();
    let mut tail = tail.stdout(std::process::Stdio::null()).spawn().unwrap();
    eventually("the tail listens", SOON, async || {
        let listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%convoke_log%'
            AND datname = current_database()";
        let count: i64 = sqlx::query_scalar(listening).fetch_one(&db.owner).await.unwrap();
        (count >= 2).then_some(())
    })
    .await;
    wire.cut();
    let begun = std::time::Instant::now();
    server.signal(Signal::TERM);
    rustix::process::kill_process(rustix::process::Pid::from_child(&tail), Signal::INT).unwrap();
    server.ended().await;
    eventually("the tail ends", SOON, async || tail.try_wait().unwrap()).await;
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}\n{}", begun.elapsed(), server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_fell_silent_are_given_up_for_new_ones() {
    const PATIENCE: Duration = Duration::from_secs(90);
    let db = TestDb::new().await;
    let wire = Wire::to(&db).await;
    let token = tokens::of("acme", None, Grants::everything());
    // No room is kept in memory: they are loaded for their commands.
    let run = Run::new().with("DATABASE_URL", &wire.url).with("CONVOKE_LOG_ROOM_MEMORY", "0B");
    let server = tokens::accepted_by(run).serve().await;
    let rooms = format!("{}/v1/rooms", server.url);
    let create = async || {
        let request = server.client.post(&rooms).bearer_auth(&token).json(&serde_json::json!({}));
        let answer = request.send().await.unwrap();
        (answer.status() == 201).then_some(answer)?.json::<Value>().await.ok()
    };
    let shows = async |position: &Value| {
        let path = format!("{rooms}?limit=1&at_least={position}");
        (server.client.get(path).bearer_auth(&token).send().await.unwrap().status() == 200).then_some(())
    };
    let lock = async |room: &Value| {
        let path = format!("{rooms}/{}/commands/lock-room", room["room"].as_str().unwrap());
        let request = server.client.post(path).bearer_auth(&token).json(&serde_json::json!({}));
        (request.send().await.unwrap().status() == 200).then_some(())
    };
    let mut before = Vec::new();
    for _ in 0..12 {
        before.push(create().await.unwrap());
    }
    eventually("the read models follow", SOON, async || shows(&before[11]["position"]).await).await;
    // More than are loaded at a time.
    let (loads, ()) = tokio::join!(futures_util::future::join_all(before.iter().map(lock)), async { wire.cut() });
    assert!(loads.iter().flatten().count() < 12, "some were on their way");
    wire.mend();
    for room in &before {
        eventually("commands to rooms that were being loaded are taken again", PATIENCE, async || lock(room).await)
            .await;
    }
    let after = eventually("commands are taken again", PATIENCE, create).await;
    eventually("the read models follow again", PATIENCE, async || shows(&after["position"]).await).await;
}

#[tokio::test]
async fn the_descriptions_of_the_api_and_of_its_streams_are_printed() {
    let description = Run::new().args(["openapi"]).json().await;
    assert_eq!(description["openapi"], "3.1.0");
    let streams = Run::new().args(["asyncapi"]).json().await;
    assert_eq!(streams["asyncapi"], "3.1.0");
}
