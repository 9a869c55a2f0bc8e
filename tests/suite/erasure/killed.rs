//! SIGKILL in the midst of erasures: the event and the end of the key are one, and what was acknowledged is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;

use super::erase;
use crate::api::{Answer, Service, server_token};
use crate::harness::eventually;

const PERSONS: usize = 120;
const ROUNDS: usize = 6;
const AT_ONCE: usize = 8;

/// Persons who have a key in spite of an event, or no key without one; those who never had one left out.
async fn halves(db: &PgPool) -> Vec<(String, bool, bool)> {
    sqlx::query_as(
        "SELECT p.identity, k.key_id IS NOT NULL, e.position IS NOT NULL
         FROM (
             SELECT DISTINCT data ->> 'identity' AS identity FROM convoke.log WHERE event_type = 'room.participant-joined'
         ) p
         LEFT JOIN convoke.person_keys k ON k.tenant = 'acme' AND k.identity = p.identity
         LEFT JOIN convoke.log e ON e.event_type = 'person.erased' AND e.data ->> 'identity' = p.identity
         WHERE (k.key_id IS NULL) <> (e.position IS NOT NULL)",
    )
    .fetch_all(db)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_is_killed_is_whole_or_was_not() {
    let mut service = Service::start().await;
    let room = service.room(&json!({})).await;
    let joins = (0..PERSONS).map(|number| {
        let data = json!({ "identity": format!("p{number}"), "display_name": format!("Person {number}") });
        json!({ "room": room, "command": "join", "data": data })
    });
    let list = json!({ "commands": joins.collect::<Vec<_>>() });
    let joined = Answer::of(service.post(&server_token(), "/v1/commands", &list)).await.is(200);
    assert!(!joined.text.contains("problem"), "{}", joined.text);

    let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
    let share = PERSONS / ROUNDS;
    for round in 0..ROUNDS {
        let done = Arc::new(AtomicUsize::new(0));
        let next = Arc::new(AtomicUsize::new(round * share));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE {
            let (done, next, acknowledged) = (done.clone(), next.clone(), acknowledged.clone());
            let (client, url) = (service.server.client.clone(), service.server.url.clone());
            tasks.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= (round + 1) * share {
                        return;
                    }
                    let identity = format!("p{number}");
                    let post = client.post(format!("{url}/v1/commands/erase-person")).bearer_auth(server_token());
                    let answer = post.json(&json!({ "identity": identity })).send().await;
                    if answer.is_ok_and(|answer| answer.status().is_success()) {
                        acknowledged.lock().unwrap().push(identity);
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // In the midst of it, at another point each time.
        eventually("erasures are acknowledged", Duration::from_secs(30), async || {
            (done.load(Ordering::Relaxed) > round * 2).then_some(())
        })
        .await;
        service.server.kill();
        tasks.join_all().await;
        assert_eq!(halves(&service.db.owner).await, [], "after kill {round}");
        service.server = service.run.clone().serve().await;
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    let erased: Vec<String> =
        sqlx::query_scalar("SELECT data ->> 'identity' FROM convoke.log WHERE event_type = 'person.erased'")
            .fetch_all(&service.db.owner)
            .await
            .unwrap();
    assert!(acknowledged.iter().all(|identity| erased.contains(identity)), "{acknowledged:?} of {erased:?}");
    assert!(erased.len() < PERSONS, "some were cut off");
    // What was cut off is asked for again.
    for number in 0..PERSONS {
        erase(&service, &server_token(), &format!("p{number}")).await.is(200);
    }
    assert_eq!(halves(&service.db.owner).await, []);
    let keys: i64 =
        sqlx::query_scalar("SELECT count(*) FROM convoke.person_keys").fetch_one(&service.db.owner).await.unwrap();
    assert_eq!(keys, 0);
    let whole = service.run.clone().args(["log", "verify"]).run().await;
    assert!(whole.status == 0 && whole.stdout.starts_with("intact: "), "{whole:?}");
}
