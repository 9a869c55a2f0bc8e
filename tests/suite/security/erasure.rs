//! Erasing a person: for good, everywhere, and not for those who come after.

use std::time::Duration;

use convoke::commands::execute::{CommandRequest, Executor, ExecutorServices};
use convoke::commands::tenant::ErasePerson;
use convoke::events::log::EventLog;
use convoke::events::sealed::Sealed;
use convoke::events::time::Clock;
use convoke::ids::{Identity, RoomId, RoomKey, TenantId};
use convoke::security::sealing::{SealedPlace, Sealer};
use convoke::security::tokens::TokenVerifier;
use convoke::telemetry::metrics::Metrics;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{keys_config, named, person, place, sealer, stored_keys, tenant, watch_keys};
use crate::execute::{join, key_of, new_room, request};
use crate::harness::{TestDb, end_connection, eventually, listening};

/// Long before a key is too old to be held.
const SOON: Duration = Duration::from_secs(20);

/// Who carries out erasures in a process that seals and opens with `sealer`.
fn executor(db: &TestDb, sealer: &Sealer) -> Executor {
    let on = ExecutorServices {
        log: EventLog::new(db.system.clone()),
        sealer: sealer.clone(),
        clock: Clock::system(),
        metrics: Metrics::new(),
    };
    let (executor, work) = Executor::new(on, crate::execute::LIMITS);
    tokio::spawn(work);
    executor
}

/// Whether there was anything to erase.
async fn erase(executor: &Executor, tenant: &TenantId, identity: &Identity) -> bool {
    let key = RoomKey { tenant: tenant.clone(), room: RoomId::TENANT };
    let command = ErasePerson { identity: identity.clone() }.into();
    let request = CommandRequest::by_system("tests", key, command, Clock::system().now());
    executor.execute(request).await.unwrap().body.contains("person.erased")
}

async fn seal(db: &TestDb, sealer: &Sealer, identity: &str, name: &str) -> Sealed {
    let keys = stored_keys(sealer, &db.system, &[person("acme", identity)]).await;
    sealer.keep(&keys);
    keys.seal(&place(&tenant("acme")), &named(identity, name)).unwrap()
}

/// The name that reads, or `None`: erased.
async fn read(sealer: &Sealer, sealed: &Sealed) -> Option<String> {
    let acme = tenant("acme");
    let opening = sealer.load_keys(&acme, [sealed]).await.unwrap();
    opening.try_open(&place(&acme), sealed).unwrap().and_then(|fields| fields.display_name)
}

#[tokio::test]
async fn an_erased_person_reads_as_erased_at_once_and_others_do_not() {
    let db = TestDb::new().await;
    let sealer = sealer(&db.system);
    let (alice, bob) = (seal(&db, &sealer, "alice", "Alice").await, seal(&db, &sealer, "bob", "Bob").await);
    assert_eq!(read(&sealer, &alice).await.as_deref(), Some("Alice"), "and its key is held from now on");
    let (acme, identity) = person("acme", "alice");
    let executor = executor(&db, &sealer);
    assert!(erase(&executor, &acme, &identity).await);
    assert_eq!(read(&sealer, &alice).await, None);
    assert_eq!(read(&sealer, &bob).await.as_deref(), Some("Bob"));
    assert!(!erase(&executor, &acme, &identity).await, "there is nothing more to erase");
    assert!(!erase(&executor, &tenant("other"), &person("acme", "bob").1).await, "another tenant's bob is not ours");
}

#[tokio::test]
async fn somebody_seen_again_after_an_erasure_gets_a_new_key_and_the_past_stays_erased() {
    let db = TestDb::new().await;
    let sealer = sealer(&db.system);
    let before = seal(&db, &sealer, "alice", "Alice").await;
    let (acme, identity) = person("acme", "alice");
    erase(&executor(&db, &sealer), &acme, &identity).await;
    let after = seal(&db, &sealer, "alice", "Alice again").await;
    assert_eq!(read(&sealer, &before).await, None);
    assert_eq!(read(&sealer, &after).await.as_deref(), Some("Alice again"));
}

#[tokio::test]
async fn an_erasure_is_heard_by_a_process_that_holds_the_key() {
    let db = TestDb::new().await;
    let (here, there) = (sealer(&db.system), sealer(&db.system));
    let stop = CancellationToken::new();
    let verifier = TokenVerifier::new(&keys_config(vec![]), db.system.clone()).unwrap();
    let watching = tokio::spawn(watch_keys(db.system.clone(), there.clone(), verifier, stop.clone()));
    let executor = executor(&db, &here);
    // The second connection that listens hears as the first one did.
    for connection in ["first", "second"] {
        let listening = eventually("it listens", SOON, async || listening(&db.owner).await.pop()).await;
        let (acme, identity) = person("acme", connection);
        let sealed = seal(&db, &here, connection, "Alice").await;
        seal(&db, &there, connection, "Alice").await;
        assert_eq!(read(&there, &sealed).await.as_deref(), Some("Alice"));
        erase(&executor, &acme, &identity).await;
        // Well before what is held would be too old anyway.
        eventually("the other process has forgotten the key", SOON, async || {
            read(&there, &sealed).await.is_none().then_some(())
        })
        .await;
        let again = seal(&db, &there, connection, "Alice again").await;
        assert_eq!(read(&here, &again).await.as_deref(), Some("Alice again"), "it seals under the new key");
        end_connection(&db.owner, listening.0).await;
    }
    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn erasing_and_sealing_at_the_same_time_gives_keys_that_work_or_reads_as_erased() {
    let db = TestDb::new().await;
    let sealer = sealer(&db.system);
    let (acme, identity) = person("acme", "alice");
    let executor = executor(&db, &sealer);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..16 {
        let (sealer, executor, acme, identity) = (sealer.clone(), executor.clone(), acme.clone(), identity.clone());
        tasks.spawn(async move {
            let room = new_room();
            executor.execute(request(room, "create-room", json!({}))).await.unwrap();
            for _ in 0..20 {
                if number % 4 == 0 {
                    erase(&executor, &acme, &identity).await;
                } else {
                    let read = join_and_read(&executor, &sealer, room).await;
                    assert!(read.is_none() || read.as_deref() == Some("Name of alice"));
                }
            }
        });
    }
    tasks.join_all().await;
    let room = new_room();
    executor.execute(request(room, "create-room", json!({}))).await.unwrap();
    let read = join_and_read(&executor, &sealer, room).await;
    assert_eq!(read.as_deref(), Some("Name of alice"), "what is held is what is in the table");
}

/// Alice joins, once more where she is in the room: the name that then reads.
async fn join_and_read(executor: &Executor, sealer: &Sealer, room: RoomId) -> Option<String> {
    let joined = executor.execute(join(room, "alice")).await.unwrap();
    let state = executor.loader().at_version(&key_of(room), joined.room_version).await.unwrap().state;
    let part = state.open().unwrap().people.get(&"alice".parse().unwrap()).unwrap().personal.name().unwrap().clone();
    let acme = tenant("acme");
    let opening = sealer.load_keys(&acme, [&part.sealed]).await.unwrap();
    let place = SealedPlace { tenant: &acme, room, room_version: part.room_version };
    opening.try_open(&place, &part.sealed).unwrap().and_then(|fields| fields.display_name)
}
