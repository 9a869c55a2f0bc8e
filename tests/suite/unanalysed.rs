//! Statements keep their plans while tables grow that nobody has analysed, and whatever the server was configured for: servers
//! with PostgreSQL's own defaults, no autovacuum, and connections that prepared everything while there was nothing.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::Duration;

use convoke::events::time::Clock;
use convoke::security::grants::Grants;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor as _, PgPool, Row as _};

use crate::harness::pooler::Pooler;
use crate::harness::standby::Replicated;
use crate::harness::{Run, Server, eventually, tokens};

/// PostgreSQL's own defaults where the private server has others; no help by statistics; every plan is worth compiling; all statements are
/// counted, those inside functions too.
const DEFAULTS: &[&str] = &[
    "shared_preload_libraries=pg_stat_statements",
    "pg_stat_statements.track=all",
    "autovacuum=off",
    "jit=on",
    "jit_above_cost=0",
    "random_page_cost=4",
    "effective_io_concurrency=1",
    "work_mem=4MB",
    "max_parallel_workers_per_gather=2",
    "parallel_setup_cost=0",
    "min_parallel_table_scan_size=0",
];

const PATIENCE: Duration = Duration::from_secs(90);

/// Events that come while every statement is prepared already.
const EVENTS: usize = 100_000;
/// The same where the way to the database is another, or its partition: enough that reading all of it shows.
const FEWER_EVENTS: usize = 25_000;
/// Events of one import.
const TOGETHER: usize = 25_000;
/// Rooms that they are in: in all but a few only that they were made.
const ROOMS: usize = 2_000;
const BUSY: usize = 40;

/// Those that have grown, and are looked into.
const TABLES: [&str; 7] =
    ["convoke.log", "room_heads", "room_names", "outcomes", "rm_rooms", "rm_messages", "rm_sessions"];

/// Buffers of 8 KiB that one call of a statement may look at: the way down an index in each month that there is; and a list of rooms
/// counts up to 500 of those that a filter matches.
const BUFFERS: f64 = 600.0;
/// The same of a page of rooms by several filters: it ends after 1,000 rooms that were looked at.
const BUFFERS_OF_A_LIST: f64 = 4_000.0;
/// Besides, for each row that it gives or writes.
const BUFFERS_A_ROW: f64 = 16.0;

/// Lines of history, all at one time.
struct Lines {
    text: String,
    at: String,
}

impl Lines {
    fn at(at: String) -> Self {
        Self { text: String::new(), at }
    }

    fn line(&mut self, room: &str, command: &str, data: Value) {
        let line = json!({
            "room": room, "command": command, "data": data, "occurred_at": self.at, "actor": "key:history",
        });
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }

    fn room(&mut self, room: &str, people: usize) {
        let labels = json!({ "team": format!("t{}", people % 7), "kind": "class" });
        self.line(room, "create-room", json!({ "name": room, "settings": { "labels": labels, "lobby": "off" } }));
        for person in 0..people {
            self.line(room, "join", json!({ "identity": format!("p{person}"), "role": "host" }));
        }
    }

    fn message(&mut self, room: &str, number: usize) {
        let to = if number.is_multiple_of(9) { "staff" } else { "everyone" };
        self.line(room, "send-message", json!({ "identity": "p0", "text": format!("message {number}"), "to": to }));
    }

    async fn import(&self, run: Run, name: &str, more: &[&str]) {
        let file = run.folder.join(format!("{name}.ndjson"));
        std::fs::File::create(&file).unwrap().write_all(self.text.as_bytes()).unwrap();
        let args = ["import", "--tenant", "dev", "--json"].into_iter().chain(more.iter().copied());
        let report = run.args(args).args([file.as_os_str()]).json().await;
        let lines = self.text.lines().count();
        assert_eq!(report["applied"].as_u64(), Some(lines as u64), "{report}");
    }
}

/// A server of rooms on a database with a history, which has been asked everything while it was small.
struct Scene {
    server: Server,
    run: Run,
    room: String,
    token: String,
    databases: Vec<PgPool>,
}

impl Scene {
    /// `began`: when the little is recorded that is there at first; `None`: now.
    async fn new(run: Run, pair: &Replicated, began: Option<String>) -> Self {
        let run = tokens::accepted_by(run)
            .with("DATABASE_URL", &pair.url())
            .with("CONVOKE_MASTER_KEYS", "tests:dGhpcyBrZXkgc2VhbHMgZm9yIHRlc3RzIG9ubHkhISE=")
            // Each of few connections has prepared everything that is asked on it.
            .with("CONVOKE_DATABASE_POOL_SIZE", "3")
            .with("CONVOKE_DATABASE_READ_POOL_SIZE", "2")
            // What is asked for is looked up, each time.
            .with("CONVOKE_CACHE_MEMORY", "0B");
        pair.primary.execute("CREATE EXTENSION pg_stat_statements").await.unwrap();
        let mut before = Lines::at(began.clone().unwrap_or_else(|| Clock::system().now().to_string()));
        before.room("first", 4);
        (0..20).for_each(|number| before.message("first", number));
        let kept: &[&str] = if began.is_some() { &["--recorded-as-occurred"] } else { &[] };
        before.import(run.clone(), "before", kept).await;
        let server = run.clone().serve().await;
        let token = tokens::of("dev", None, Grants { operator: true, ..Grants::everything() });
        let look = |options: &PgConnectOptions| {
            PgPoolOptions::new().max_connections(1).connect_lazy_with(options.clone().application_name("looker"))
        };
        let mut databases = vec![look(pair.options())];
        databases.extend(pair.replicas.iter().map(|replica| look(replica.options())));
        let mut scene = Self { server, run, room: String::new(), token, databases };
        scene.room = eventually("the first room is listed", PATIENCE, async || {
            let found = scene.get("/v1/rooms?name=first").await;
            found["rooms"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        scene
    }

    async fn get(&self, path: &str) -> Value {
        self.asked(path, &self.token).await
    }

    async fn asked(&self, path: &str, token: &str) -> Value {
        let answer = self.server.client.get(format!("{}{path}", self.server.url)).bearer_auth(token);
        let answer = answer.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    async fn command(&self, command: &str, data: Value, key: &str) -> u64 {
        let url = format!("{}/v1/rooms/{}/commands/{command}", self.server.url, self.room);
        let sent =
            self.server.client.post(url).bearer_auth(&self.token).header("Idempotency-Key", format!("\"{key}\""));
        let answer = sent.json(&data).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{command}");
        answer.json::<Value>().await.unwrap()["position"].as_u64().unwrap()
    }

    /// Commands of several kinds, some with looks at what there is, and all that can be read; a few times, since each connection of a pool
    /// is to have been used.
    async fn everything(&self, round: &str) {
        for turn in 0..4 {
            let key = |what: &str| format!("{round} {turn} {what}");
            let who = format!("late {round} {turn}");
            self.command("join", json!({ "identity": who }), &key("join")).await;
            self.command("raise-hand", json!({ "identity": who }), &key("hand")).await;
            let said = self.command("send-message", json!({ "identity": who, "text": "said" }), &key("say")).await;
            self.command("send-message", json!({ "identity": who, "text": "said" }), &key("say")).await;
            let version = self.get(&format!("/v1/rooms/{}?at_least={said}", self.room)).await["version"].clone();
            self.command(
                "edit-message",
                json!({ "message": version, "identity": who, "text": "changed" }),
                &key("edit"),
            )
            .await;
            let position = self.command("leave", json!({ "identity": who }), &key("leave")).await;
            let url = format!("{}/v1/rooms", self.server.url);
            let made = self.server.client.post(url).bearer_auth(&self.token);
            made.json(&json!({ "name": key("room"), "if_exists": "return" })).send().await.unwrap();
            self.read_all(position).await;
        }
    }

    async fn read_all(&self, position: u64) {
        let person = tokens::of("dev", Some("p0"), Grants { room_join: true, ..Grants::default() });
        let of_room = [
            "",
            "?version=7",
            "?at=NOW",
            "/participants?limit=20",
            "/participants?version=9",
            "/waiting?limit=20",
            "/sessions?limit=20",
            "/attendance?limit=20",
            "/messages?limit=20",
            "/messages?limit=20&order=newest",
            "/activity?limit=20",
            "/events?limit=20",
            "/timeline?limit=20",
        ];
        for path in of_room {
            let path = format!("/v1/rooms/{}{path}", self.room).replace("NOW", &Clock::system().now().to_string());
            self.get(&path).await;
            if !path.contains("/waiting") {
                self.asked(&path, &person).await;
            }
        }
        for path in [
            format!("/v1/rooms?limit=20&at_least={position}"),
            "/v1/rooms?limit=20&name=first".into(),
            "/v1/rooms?limit=20&status=open".into(),
            "/v1/rooms?limit=20&status=ended".into(),
            "/v1/rooms?limit=20&label=team:t1".into(),
            "/v1/rooms?limit=20&label=team:t1&label=kind:class&status=open".into(),
            "/v1/usage".into(),
            "/v1/events?limit=20".into(),
            "/v1/log".into(),
            "/v1/projections".into(),
        ] {
            self.get(&path).await;
        }
    }

    /// A month of events in a few seconds.
    async fn grow(&self, events: usize) {
        let head = self.get("/v1/log").await["position"].as_u64().unwrap();
        let mut lines = Lines::at(Clock::system().now().to_string());
        for room in 0..ROOMS {
            lines.room(&format!("room-{room}"), if room < BUSY { 10 } else { 0 });
        }
        let mut written = lines.text.lines().count();
        for part in 0..events / TOGETHER {
            (written..(part + 1) * TOGETHER)
                .for_each(|number| lines.message(&format!("room-{}", number % BUSY), number));
            written = (part + 1) * TOGETHER;
            lines.import(self.run.clone(), &format!("growth-{part}"), &[]).await;
            lines.text.clear();
        }
        eventually("the read models have folded all of it", PATIENCE, async || {
            let answer = self.get("/v1/projections").await;
            let mut models = answer["projections"].as_array().unwrap().iter();
            models.all(|model| model["position"].as_u64().unwrap() >= head + events as u64).then_some(())
        })
        .await;
    }

    async fn count_anew(&self) {
        for database in &self.databases {
            // What is counted on a replica is its own.
            database.execute("SELECT pg_stat_statements_reset()").await.unwrap();
        }
    }

    /// Nothing has looked at much more than it gave, nor was compiled. `many_given`: statements that are given many keys or rows
    /// at a time are left out, since nobody counts those.
    async fn nothing_looked_at_much(&self, many_given: bool) {
        for (number, database) in self.databases.iter().enumerate() {
            let analysed: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_user_tables WHERE last_analyze IS NOT NULL OR last_autoanalyze IS NOT NULL",
            )
            .fetch_one(database)
            .await
            .unwrap();
            assert_eq!(analysed, 0);
            let rows = sqlx::query(
                "SELECT query, calls, rows, (shared_blks_hit + shared_blks_read)::float8 / calls AS buffers, jit_functions,
                    temp_blks_written
                 FROM pg_stat_statements
                 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
                     AND query NOT LIKE '%pg_stat%' AND query NOT LIKE '%FROM convoke.append($%'
                     AND NOT ($1 AND query ILIKE '%unnest(%')
                 ORDER BY buffers DESC",
            )
            .bind(many_given)
            .fetch_all(database)
            .await
            .unwrap();
            let (mut many, mut tables) = (Vec::new(), BTreeSet::new());
            for row in &rows {
                let (query, calls, given): (String, i64, i64) = (row.get("query"), row.get("calls"), row.get("rows"));
                let buffers: f64 = row.get("buffers");
                let (compiled, spilled): (i64, i64) = (row.get("jit_functions"), row.get("temp_blks_written"));
                let most = if query.contains("convoke.find_rooms(") { BUFFERS_OF_A_LIST } else { BUFFERS };
                if buffers > most + BUFFERS_A_ROW * given as f64 / calls as f64 || compiled > 0 || spilled > 0 {
                    many.push(format!(
                        "{buffers:.0} buffers, {calls} calls, {given} rows, {compiled} compiled: {query}"
                    ));
                }
                let of = |table: &&str| {
                    let mut places = query.split(table).skip(1);
                    places.any(|after| after.starts_with(|c: char| !c.is_alphanumeric() && c != '_'))
                };
                tables.extend(TABLES.into_iter().filter(of));
            }
            assert!(many.is_empty(), "on database {number}:\n{}", many.join("\n"));
            // On a replica, only read models are read.
            let least = if number == 0 { TABLES.len() } else { 2 };
            assert!(many_given || tables.len() >= least, "only {tables:?}");
        }
    }

    async fn prove(mut self, events: usize) {
        self.everything("small").await;
        self.count_anew().await;
        self.grow(events).await;
        self.nothing_looked_at_much(true).await;
        self.count_anew().await;
        self.everything("large").await;
        self.nothing_looked_at_much(false).await;
        assert!(self.server.terminate().await.success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_grows_under_statements_that_were_prepared_while_it_was_empty() {
    let pair = Replicated::with(1, DEFAULTS).await;
    let run = Run::new().with("DATABASE_READ_URLS", &pair.replicas[0].url()).with("CONVOKE_DATABASE_REPLICA_LAG", "1m");
    Scene::new(run, &pair, None).await.prove(EVENTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_begins_under_statements_that_were_prepared_in_the_one_before() {
    let pair = Replicated::with(0, DEFAULTS).await;
    let began = Clock::system().now().plus_seconds(-31 * 24 * 3_600);
    Scene::new(Run::new(), &pair, Some(began.to_string())).await.prove(FEWER_EVENTS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_grows_behind_a_pooler() {
    let pair = Replicated::with(0, DEFAULTS).await;
    let pooler = Pooler::before(pair.options()).await;
    let run = Run::new().with("DATABASE_POOLER_URL", &pooler.url(pair.options()));
    Scene::new(run, &pair, None).await.prove(FEWER_EVENTS).await;
}
