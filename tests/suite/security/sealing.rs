//! Keys of persons: one each, whoever asks first; bound to their place; nobody else's.

use std::collections::{BTreeSet, HashSet};

use convoke::events::ids::{Identity, TenantId};
use convoke::events::sealed::Sealed;
use convoke::security::sealing::{OpenError, Place};

use super::{count, named, person, place, sealer, tenant};
use crate::harness::TestDb;

/// The key that a sealed part names.
fn key_of(sealed: &Sealed) -> Vec<u8> {
    sealed.0[1..17].to_vec()
}

#[tokio::test]
async fn what_one_process_seals_another_opens_at_its_place_and_nowhere_else() {
    let db = TestDb::new().await;
    let (one, other) = (sealer(&db.system), sealer(&db.system));
    let acme = tenant("acme");
    let keys = one.ensure_keys(&[person("acme", "alice"), person("acme", "bob")]).await.unwrap();
    let (alice, bob) = (named("alice", "Alice"), named("bob", "Bob"));
    let sealed = [keys.seal(&place(&acme), &alice).unwrap(), keys.seal(&place(&acme), &bob).unwrap()];

    let opening = other.load_keys(&acme, &sealed).await.unwrap();
    assert_eq!(opening.try_open(&place(&acme), &sealed[0]), Ok(Some(alice.fields)));
    assert_eq!(opening.try_open(&place(&acme), &sealed[1]), Ok(Some(bob.fields)));
    let elsewhere = Place { room_version: 8, ..place(&acme) };
    assert_eq!(opening.try_open(&elsewhere, &sealed[0]), Err(OpenError::Changed));
}

#[tokio::test]
async fn the_same_name_in_two_tenants_is_two_persons_and_neither_opens_the_others() {
    let db = TestDb::new().await;
    let sealer = sealer(&db.system);
    let (acme, other) = (tenant("acme"), tenant("other"));
    let keys = sealer.ensure_keys(&[person("acme", "alice"), person("other", "alice")]).await.unwrap();
    let sealed = keys.seal(&place(&acme), &named("alice", "Alice")).unwrap();
    assert_eq!(count(&db.owner, "person_keys").await, 2);

    // Taken to the other tenant, it reads like that of somebody who is not there.
    let opening = sealer.load_keys(&other, [&sealed]).await.unwrap();
    assert_eq!(opening.try_open(&place(&other), &sealed), Ok(None));
    let opening = sealer.load_keys(&acme, [&sealed]).await.unwrap();
    assert_eq!(opening.try_open(&place(&other), &sealed), Err(OpenError::Changed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thirty_two_tasks_of_two_processes_asking_at_once_get_one_key_for_each_person() {
    let db = TestDb::new().await;
    let processes = [sealer(&db.system), sealer(&db.system)];
    let persons: Vec<(TenantId, Identity)> = (0..200).map(|n| person("acme", &format!("p{n}"))).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..32 {
        let sealer = processes[number % 2].clone();
        let mut wanted = persons.clone();
        // Each in another order, some with persons twice: nobody waits for somebody who waits for him.
        wanted.rotate_left(number * 6);
        if number % 3 == 0 {
            wanted.reverse();
        }
        wanted.extend_from_slice(&persons[..number]);
        tasks.spawn(async move {
            let keys = sealer.ensure_keys(&wanted).await.unwrap();
            sealer.keep(&keys);
            let acme = tenant("acme");
            let seal = |n: usize| key_of(&keys.seal(&place(&acme), &named(&format!("p{n}"), "P")).unwrap());
            (0..200).map(seal).collect::<Vec<_>>()
        });
    }
    let seen: HashSet<Vec<Vec<u8>>> = tasks.join_all().await.into_iter().collect();
    assert_eq!(seen.len(), 1, "every task has the same keys");
    let keys: BTreeSet<Vec<u8>> = seen.into_iter().flatten().collect();
    assert_eq!((keys.len(), count(&db.owner, "person_keys").await), (200, 200));
}

#[tokio::test]
async fn ten_thousand_new_persons_are_one_statement() {
    let db = TestDb::new().await;
    let sealer = sealer(&db.system);
    sealer.check_masters().await.unwrap();
    let persons: Vec<_> = (0..10_000).map(|n| person("acme", &format!("p{n}"))).collect();
    let keys = sealer.ensure_keys(&persons).await.unwrap();
    let transactions: i64 = sqlx::query_scalar("SELECT count(DISTINCT xmin::text) FROM convoke.person_keys")
        .fetch_one(&db.owner)
        .await
        .unwrap();
    assert_eq!((count(&db.owner, "person_keys").await, transactions), (10_000, 1));

    let acme = tenant("acme");
    let sealed: Vec<Sealed> =
        (0..10_000).map(|n| keys.seal(&place(&acme), &named(&format!("p{n}"), "P")).unwrap()).collect();
    let opening = sealer.load_keys(&acme, &sealed).await.unwrap();
    assert!(sealed.iter().all(|sealed| opening.open(&place(&acme), sealed).is_some()));
}

#[tokio::test]
async fn a_key_is_held_only_once_something_sealed_under_it_is_durable() {
    let db = TestDb::new().await;
    let sealer = sealer(&db.system);
    let alice = [person("acme", "alice")];
    let acme = tenant("acme");
    let first = sealer.ensure_keys(&alice).await.unwrap();
    let first = key_of(&first.seal(&place(&acme), &named("alice", "Alice")).unwrap());
    // The server crashes and forgets the row, whose commit was not waited for.
    sqlx::query("DELETE FROM convoke.person_keys").execute(&db.owner).await.unwrap();
    let second = sealer.ensure_keys(&alice).await.unwrap();
    let sealed = second.seal(&place(&acme), &named("alice", "Alice")).unwrap();
    assert_ne!(key_of(&sealed), first, "the lost key is not used");
    let opening = sealer.load_keys(&acme, [&sealed]).await.unwrap();
    assert!(opening.open(&place(&acme), &sealed).is_some());

    sealer.keep(&second);
    db.system.connections().close().await;
    let held = sealer.ensure_keys(&alice).await.expect("the database is not asked");
    assert_eq!(key_of(&held.seal(&place(&acme), &named("alice", "Alice")).unwrap()), key_of(&sealed));
}

#[tokio::test]
async fn answers_to_callers_see_no_keys_and_the_program_changes_none() {
    let db = TestDb::new().await;
    sealer(&db.system).ensure_keys(&[person("acme", "alice")]).await.unwrap();
    for table in ["person_keys", "signing_keys", "revoked_keys", "master_keys"] {
        let mut transaction = db.owner.begin().await.unwrap();
        sqlx::raw_sql("SET LOCAL ROLE convoke_tenant; SET LOCAL convoke.tenant = 'acme'")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let statement = format!("SELECT 1 FROM convoke.{table}");
        let refused = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *transaction).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{table}: {refused}");
    }
    for statement in [
        "UPDATE convoke.person_keys SET identity = 'bob'",
        "UPDATE convoke.signing_keys SET tenant = 'other'",
        "DELETE FROM convoke.revoked_keys",
        "UPDATE convoke.revoked_keys SET kid = 'x'",
        "TRUNCATE convoke.person_keys",
    ] {
        let refused = sqlx::query(statement).execute(&db.system).await.unwrap_err();
        assert!(refused.to_string().contains("permission denied"), "{statement}: {refused}");
    }
}
