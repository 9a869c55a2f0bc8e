//! The search itself: what is planted is found, wherever it is planted and however it is written.

use std::time::Duration;

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use serde_json::Value;

use crate::harness::kafka::{Broker, prefix};
use crate::harness::{Redis, Run, TestDb};
use crate::kafka::records::story;

const PATIENCE: Duration = Duration::from_secs(20);

const NAME: &str = "J\u{f6}rg \u{201e}Joe\u{201c} M\u{fc}ller";

/// Exit code, and what was found where.
async fn verify(run: Run, texts: &[&str]) -> (i32, Vec<(String, String)>) {
    let run = run.args(["erase", "verify", "--tenant", "acme", "--identity", "joerg", "--json"]);
    let ended = run.args(texts.iter().copied()).run().await;
    assert!(!ended.stdout.contains(NAME) && !ended.stderr.contains(NAME), "texts are not told: {ended:?}");
    let report: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {ended:?}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = report["places"].as_array().unwrap().iter().flat_map(|place| {
        let findings = place["findings"].as_array().unwrap().iter();
        findings.map(move |finding| (text(&place["place"]), text(&finding["at"])))
    });
    let findings: Vec<_> = findings.collect();
    assert_eq!(report["found"].as_u64().unwrap(), findings.len() as u64, "{report:#}");
    (ended.status, findings)
}

async fn plant(
    db: &TestDb,
    statement: &'static str,
    value: impl for<'q> sqlx::Encode<'q, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send,
) {
    sqlx::query(statement).bind(value).execute(&db.owner).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_planted_in_a_table_is_found_as_text_as_json_as_bytes_and_packed() {
    let db = TestDb::new().await;
    assert_eq!(verify(Run::on(&db), &[NAME]).await, (0, vec![]));
    let packed =
        zstd::bulk::compress(serde_json::json!({ "people": [NAME] }).to_string().repeat(50).as_bytes(), 3).unwrap();
    plant(
        &db,
        "INSERT INTO convoke.outcomes (position, recorded_at, stored_at, room, status, bucket, tenant, key, fingerprint, body)
         VALUES (1, now(), now(), gen_random_uuid(), 200, 0, 'acme', 'k', '', $1)",
        format!("{{\"name\":\"{}\"}}", NAME.replace('\u{f6}', "\\u00f6").replace('\u{201e}', "\\u201e").replace('\u{201c}', "\\u201c").replace('\u{fc}', "\\u00fc")),
    )
    .await;
    plant(&db, "INSERT INTO convoke.intake_progress (name, done, detail, updated_at) VALUES ('i', 1, to_json($1::text), now())", NAME).await;
    plant(
        &db,
        "INSERT INTO convoke.room_snapshots (version, recorded_at, position, room, shape, tenant, chain, state)
         VALUES (1, now(), 1, gen_random_uuid(), 1, 'acme', '', $1)",
        packed,
    )
    .await;
    plant(
        &db,
        "INSERT INTO convoke.log (position, room_version, recorded_at, room, command_id, type_version, tenant, event_type, actor,
             data, sealed, hash)
         VALUES (1, 1, now(), gen_random_uuid(), gen_random_uuid(), 1, 'acme', 'room.opened', 'key:k', '{}', $1, '')",
        format!("not sealed: {NAME}").into_bytes(),
    )
    .await;
    let (status, mut found) = verify(Run::on(&db), &[NAME]).await;
    found.sort();
    let found: Vec<_> = found.iter().map(|(place, at)| (place.as_str(), at.rsplit(' ').next().unwrap())).collect();
    assert_eq!(status, 1);
    let log = found[1].0;
    assert!(log.starts_with("table log_2"), "the partition of now: {log}");
    assert_eq!(
        found,
        [
            ("table intake_progress", "detail"),
            (log, "sealed"),
            ("table outcomes_0", "body"),
            ("table room_snapshots", "state")
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_planted_in_redis_is_found_in_whatever_kind_of_value() {
    let (db, redis) = (TestDb::new().await, Redis::start().await);
    let run = || Run::on(&db).with("REDIS_URL", &redis.url());
    assert_eq!(verify(run(), &[NAME]).await, (0, vec![]));
    let in_base64 = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(format!("x{NAME}y"))
    };
    for command in [
        vec!["SET", "convoke:cache:text", NAME],
        vec!["SET", "convoke:cache:base64", &in_base64],
        vec!["HSET", "convoke:hash", "field", NAME],
        vec!["RPUSH", "convoke:list", "one", NAME],
        vec!["SADD", "convoke:set", NAME],
        vec!["ZADD", "convoke:sorted", "1", NAME],
        vec!["XADD", "convoke:stream", "*", "field", NAME],
        vec!["SET", &format!("convoke:of:{NAME}"), "1"],
        vec!["SET", "others:are:not:ours", NAME],
        vec!["SET", "convoke:clean", "nothing"],
    ] {
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]);
        redis.ask::<redis::Value>(asked).await;
    }
    let (status, mut found) = verify(run(), &[NAME]).await;
    found.sort();
    let found: Vec<_> = found.iter().map(|(_, at)| at.as_str()).collect();
    assert_eq!(status, 1);
    assert_eq!(
        found,
        [
            "key convoke:cache:base64",
            "key convoke:cache:text",
            "key convoke:hash",
            "key convoke:list",
            "key convoke:of:…, its name",
            "key convoke:set",
            "key convoke:sorted",
            "key convoke:stream",
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_planted_in_the_topic_is_found_in_keys_headers_and_values() {
    let (db, broker, prefix) = (TestDb::new().await, Broker::shared().await, prefix());
    let run = || broker.under(Run::on(&db), &prefix);
    assert_eq!(verify(run(), &[NAME]).await, (0, vec![]), "a topic that is not there holds nothing");
    assert_eq!(run().args(["kafka", "ensure"]).run().await.status, 0);
    assert_eq!(verify(run(), &[NAME]).await, (0, vec![]));
    let producer: FutureProducer = broker.client().create().unwrap();
    let topic = format!("{prefix}.events");
    let json = serde_json::json!({ "personal": { "display_name": NAME } }).to_string();
    let header = |key| OwnedHeaders::new().insert(Header { key, value: Some(NAME) });
    for record in [
        FutureRecord::to(&topic).partition(0).key("clean").payload("{}"),
        FutureRecord::to(&topic).partition(0).key(NAME).payload("{}"),
        FutureRecord::to(&topic).partition(1).key("k").payload(&json),
        FutureRecord::to(&topic).partition(2).key("k").payload("{}").headers(header("ce_actor")),
    ] {
        producer.send(record, PATIENCE).await.unwrap();
    }
    // Of a transaction that is given up: readers of committed records do not see it, and it lies there.
    let mut client = broker.client();
    client.set("transactional.id", format!("{prefix}.given-up"));
    let given_up: FutureProducer = client.create().unwrap();
    given_up.init_transactions(PATIENCE).unwrap();
    given_up.begin_transaction().unwrap();
    let record = FutureRecord::to(&topic).partition(3).key("k").payload(NAME);
    given_up.send(record, PATIENCE).await.unwrap();
    given_up.abort_transaction(PATIENCE).unwrap();
    let (status, mut found) = verify(run(), &[NAME]).await;
    found.sort();
    let found: Vec<_> = found.iter().map(|(place, at)| (place.as_str(), at.as_str())).collect();
    let place = format!("topic {topic}");
    assert_eq!(status, 1);
    assert_eq!(
        found,
        [
            (place.as_str(), "partition 0, offset 1, key"),
            (place.as_str(), "partition 1, offset 0, value"),
            (place.as_str(), "partition 2, offset 0, header ce_actor"),
            (place.as_str(), "partition 3, offset 0, value"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_with_personal_fields_in_the_clear_is_told_of() {
    let (db, broker, prefix, _) = story("clear").await;
    let run = broker.under(Run::on(&db), &prefix);
    let erased = run.clone().args(["erase", "--tenant", "dev", "--identity", "ann", "--yes"]).run().await;
    assert_eq!(erased.status, 0, "{erased:?}");
    let (status, found) = verify(run, &["hello there"]).await;
    assert_eq!((status, found.len()), (1, 1), "{found:?}");
    assert!(found[0].0.starts_with("topic ") && found[0].1.ends_with(", value"), "{found:?}");
}

#[tokio::test]
async fn who_gives_no_text_or_none_that_can_be_searched_for_is_told_so() {
    let db = TestDb::new().await;
    let run = Run::on(&db).args(["erase", "verify", "--tenant", "acme", "--identity", "alice-miller"]);
    for (texts, said) in [
        (vec![], "no text to search for"),
        (vec!["Al"], "less than 4 bytes"),
        (vec!["alice"], "part of the identity"),
        (vec!["--texts", "not-there.txt"], "not-there.txt"),
    ] {
        let ended = run.clone().args(texts).run().await;
        assert!(ended.status == 1 && ended.stderr.contains(said), "{ended:?}");
    }
    let table = run.args(["Alice Miller"]).run().await;
    assert_eq!(table.status, 0, "{table:?}");
    assert!(table.stdout.ends_with("none of 1 texts was found\n"), "{}", table.stdout);
    assert!(table.stderr.contains("REDIS_URL is not set") && table.stderr.contains("KAFKA_BROKERS is not set"));
}
