//! The one connection of a process that listens. What it hears comes soon, also after the connection was lost.

use std::collections::BTreeSet;
use std::time::Duration;

use convoke::database::notifications::{Notice, Notifications, Subscription};
use convoke::database::pool;
use convoke::events::log::wake::HeadListener;
use convoke::ids::Position;
use convoke::security::grants::Grants;
use convoke::security::tokens::mint;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::api::streams::Reader;
use crate::api::{Answer, Service, claims, server_token};
use crate::harness::pooler::Pooler;
use crate::harness::{Run, Server, TestDb, Wire, database_config, end_connection, eventually, listening, tokens};
use crate::log::{log_of, room, write};

const SOON: Duration = Duration::from_secs(20);

/// A connection that brings nothing is tested after 5 s, and given up after 10 s more.
const SILENT: Duration = Duration::from_secs(60);

async fn next(subscription: &mut Subscription) -> Notice {
    tokio::time::timeout(SOON, subscription.next()).await.expect("a notice comes")
}

async fn notify(db: &TestDb, payload: &str) {
    sqlx::query("SELECT pg_notify('rooms', $1)").bind(payload).execute(&db.owner).await.unwrap();
}

#[tokio::test]
async fn a_subscriber_learns_of_every_new_connection_and_hears_on_it() {
    let db = TestDb::new().await;
    let mut notifications = Notifications::new(&db.system);
    notifications.set_application_name("tested");
    let (mut rooms, mut others) = (notifications.subscribe("rooms"), notifications.subscribe("others"));
    let stop = CancellationToken::new();
    let running = tokio::spawn(notifications.run(stop.clone()));
    for payload in ["before", "after", "after another"] {
        assert_eq!(next(&mut rooms).await, Notice::Missed);
        assert_eq!(next(&mut others).await, Notice::Missed);
        notify(&db, payload).await;
        assert_eq!(next(&mut rooms).await, Notice::Payload(payload.into()));
        let found = listening(&db.owner).await;
        assert!(found.len() == 1 && found[0].1 == "tested", "{found:?}");
        end_connection(&db.owner, found[0].0).await;
    }
    stop.cancel();
    running.await.unwrap();
}

/// The process id of the one connection that listens, once it is another one.
async fn another(owner: &PgPool, before: i32, patience: Duration) -> i32 {
    eventually("another connection listens", patience, async || {
        listening(owner).await.iter().map(|(pid, _)| *pid).find(|pid| *pid != before)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_fell_silent_is_replaced_before_long_and_at_once_where_the_log_grows() {
    let db = TestDb::new().await;
    let wire = Wire::to(&db).await;
    // The log has its own way to the database, on which nothing is cut.
    let over_wire = pool::system(wire.url.parse().unwrap(), &database_config());
    let mut notifications = Notifications::new(&over_wire);
    let log = log_of(&db);
    let mut head = log.head_watch();
    let stop = CancellationToken::new();
    let listener = HeadListener::new(log, &mut notifications);
    let running = [tokio::spawn(listener.run(stop.clone())), tokio::spawn(notifications.run(stop.clone()))];
    let first = another(&db.owner, 0, SOON).await;

    wire.cut();
    wire.mend();
    let second = another(&db.owner, first, SILENT).await;

    wire.cut();
    wire.mend();
    let writing = async {
        let (elsewhere, mut written): (_, Position) = (log_of(&db), 0);
        loop {
            write(&elsewhere, &room(), 1).await;
            written += 1;
            let grown = head.wait_for(|position| *position >= written);
            tokio::time::timeout(SOON, grown).await.expect("it is seen all the same").unwrap();
        }
    };
    tokio::select! {
        // Before the connection would be tested and given up.
        _ = another(&db.owner, second, Duration::from_secs(12)) => {}
        () = writing => {}
    }
    stop.cancel();
    for task in running {
        task.await.unwrap();
    }
}

/// The names of the connections that listen, once there are so many.
async fn names(db: &TestDb, count: usize) -> Vec<String> {
    let found = eventually("they listen", SOON, async || {
        let found = listening(&db.owner).await;
        (found.len() >= count).then_some(found)
    })
    .await;
    let mut names: Vec<_> = found.into_iter().map(|(_, name)| name).collect();
    names.sort();
    names
}

async fn servers_that_answer(run: &Run) -> usize {
    // Fails where one that is counted does not answer.
    run.clone().args(["cache", "stats", "--json"]).json().await.as_array().unwrap().len()
}

async fn one_connection_for_each(db: &TestDb, run: &Run) {
    let whole = run.clone().serve().await;
    assert_eq!(names(db, 1).await, ["convoke-cache"]);
    assert_eq!(servers_that_answer(run).await, 1);
    let projector = run.clone().args(["--roles", "projector"]).serve().await;
    assert_eq!(names(db, 2).await, ["convoke", "convoke-cache"]);
    assert_eq!(servers_that_answer(run).await, 1, "who answers is counted, and nobody else");
    // It has nothing to hear.
    let upkeep = run.clone().args(["--roles", "maintenance"]).serve().await;
    let more = run.clone().args(["--roles", "api"]).serve().await;
    assert_eq!(names(db, 3).await, ["convoke", "convoke-cache", "convoke-cache"]);
    assert_eq!(servers_that_answer(run).await, 2);
    // Nobody has made one more meanwhile.
    assert_eq!(listening(&db.owner).await.len(), 3);
    drop((whole, projector, more, upkeep));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_has_one_connection_that_listens_and_is_counted_where_it_answers() {
    let db = TestDb::new().await;
    one_connection_for_each(&db, &tokens::accepted_by(Run::on(&db))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_a_server_listens_on_one_connection_to_the_database_itself() {
    let (db, pooler) = (TestDb::new().await, Pooler::start().await);
    let run = tokens::accepted_by(Run::on(&db)).with("DATABASE_POOLER_URL", &pooler.url(&db.options));
    one_connection_for_each(&db, &run).await;
}

/// A server whose connection is lost, and another one that does what it has to hear of.
struct Pair {
    hearing: Service,
    writing: Server,
    room: String,
    stream: Reader,
}

impl Pair {
    async fn start() -> Self {
        let hearing = Service::start().await;
        let writing = hearing.run.clone().serve().await;
        let room = hearing.room(&json!({})).await;
        let stream = Reader::open(&hearing, &server_token(), &format!("/v1/rooms/{room}/events"), None).await;
        Self { hearing, writing, room, stream }
    }

    async fn convoke(&self, args: &[&str]) -> String {
        let ended = self.hearing.run.clone().args(args.iter().copied()).run().await;
        assert_eq!(ended.status, 0, "{ended:?}");
        ended.stdout
    }

    /// What is personal in the events of joining, as the server that hears shows it.
    async fn personal(&self, identity: &str) -> Vec<Value> {
        let path = format!("/v1/rooms/{}/events?limit=1000", self.room);
        let page = Answer::of(self.hearing.get(&server_token(), &path)).await.is(200);
        let joined =
            page.body["events"].as_array().unwrap().iter().filter(|event| event["data"]["identity"] == identity);
        joined.map(|event| event["personal"]["display_name"].clone()).collect()
    }

    async fn token_of_a_new_key(&self, kid: &str) -> String {
        let made = self.convoke(&["token", "key", "create", "--tenant", "acme", "--key", kid, "--json"]).await;
        let made: Value = serde_json::from_str(&made).unwrap();
        let token = mint(kid, made["secret"].as_str().unwrap().as_bytes(), &claims("acme", None, Grants::everything()));
        eventually("the new key is known", SOON, async || (self.reads_with(&token).await == 200).then_some(())).await;
        token
    }

    async fn reads_with(&self, token: &str) -> u16 {
        Answer::of(self.hearing.get(token, "/v1/events?limit=1")).await.status.as_u16()
    }

    /// Everything that one server hears of another, all at once, right after `lost`.
    async fn hears_of_everything(&mut self, name: &str, lost: impl AsyncFnOnce()) {
        let kid = format!("key-{name}");
        let token = self.token_of_a_new_key(&kid).await;
        let join = format!("{}/v1/rooms/{}/commands/join", self.writing.url, self.room);
        let join = async |identity: &str| {
            let body = json!({ "identity": identity, "display_name": "Alice" });
            Answer::of(self.writing.client.post(&join).bearer_auth(server_token()).json(&body)).await.is(200);
        };
        join(name).await;
        assert_eq!(self.stream.event().await.unwrap().data["data"]["identity"], name);
        assert_eq!(self.personal(name).await, ["Alice"]);

        lost().await;
        let later = format!("{name}-later");
        join(&later).await;
        let heard = self.stream.event().await.unwrap();
        assert_eq!(heard.data["data"]["identity"], later, "{heard:?}");
        self.convoke(&["erase", "--tenant", "acme", "--identity", name, "--yes"]).await;
        self.convoke(&["token", "key", "revoke", &kid]).await;
        eventually("the key of the person is forgotten", SOON, async || {
            self.personal(name).await.iter().all(Value::is_null).then_some(())
        })
        .await;
        eventually("the revoked key is refused", SOON, async || (self.reads_with(&token).await == 401).then_some(()))
            .await;
        eventually("both servers answer", SOON, async || {
            let ended = self.hearing.run.clone().args(["cache", "stats", "--json"]).run().await;
            let answers = serde_json::from_str::<Value>(&ended.stdout).ok()?;
            (ended.status == 0 && answers.as_array()?.len() == 2).then_some(())
        })
        .await;
        // The erasure of the person is an event of the tenant, not of the room.
        assert_eq!(self.personal(&later).await, ["Alice"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_loses_the_connection_hears_of_everything_soon_after() {
    let mut pair = Pair::start().await;
    let owner = pair.hearing.db.owner.clone();
    let pids = async || listening(&owner).await.into_iter().map(|(pid, _)| pid).collect::<BTreeSet<_>>();
    let before = eventually("both listen", SOON, async || Some(pids().await).filter(|pids| pids.len() == 2)).await;
    let end_all = async || {
        for pid in &before {
            end_connection(&owner, *pid).await;
        }
    };
    pair.hears_of_everything("in-the-gap", end_all).await;
    // And on the new connections.
    let after = eventually("both listen again", SOON, async || Some(pids().await).filter(|pids| pids.len() == 2)).await;
    assert!(after.is_disjoint(&before), "{before:?} {after:?}");
    pair.hears_of_everything("on-the-new-one", async || {}).await;
    assert_eq!(pids().await, after);
    let log = pair.hearing.server.log();
    assert_eq!(log.matches("LISTEN for notifications").count(), 1, "{log}");
}
