//! Keys of persons: one each; bound to their place; nobody else's.

use convoke::events::sealed::Sealed;
use convoke::security::sealing::{OpenError, SealedPlace};

use super::{count, named, person, place, sealer, stored_keys, tenant};
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
    let keys = stored_keys(&one, &db.system, &[person("acme", "alice"), person("acme", "bob")]).await;
    let (alice, bob) = (named("alice", "Alice"), named("bob", "Bob"));
    let sealed = [keys.seal(&place(&acme), &alice).unwrap(), keys.seal(&place(&acme), &bob).unwrap()];

    let opening = other.load_keys(&acme, &sealed).await.unwrap();
    assert_eq!(opening.try_open(&place(&acme), &sealed[0]), Ok(Some(alice.fields)));
    assert_eq!(opening.try_open(&place(&acme), &sealed[1]), Ok(Some(bob.fields)));
    let elsewhere = SealedPlace { room_version: 8, ..place(&acme) };
    assert_eq!(opening.try_open(&elsewhere, &sealed[0]), Err(OpenError::Changed));
}

#[tokio::test]
async fn the_same_name_in_two_tenants_is_two_persons_and_neither_opens_the_others() {
    let db = TestDb::new().await;
    let sealer = sealer(&db.system);
    let (acme, other) = (tenant("acme"), tenant("other"));
    let keys = stored_keys(&sealer, &db.system, &[person("acme", "alice"), person("other", "alice")]).await;
    let sealed = keys.seal(&place(&acme), &named("alice", "Alice")).unwrap();
    assert_eq!(count(&db.owner, "person_keys").await, 2);

    // Taken to the other tenant, it reads like that of somebody who is not there.
    let opening = sealer.load_keys(&other, [&sealed]).await.unwrap();
    assert_eq!(opening.try_open(&place(&other), &sealed), Ok(None));
    let opening = sealer.load_keys(&acme, [&sealed]).await.unwrap();
    assert_eq!(opening.try_open(&place(&other), &sealed), Err(OpenError::Changed));
}

#[tokio::test]
async fn ten_thousand_new_persons_are_one_statement() {
    let db = TestDb::new().await;
    let sealer = sealer(&db.system);
    let persons: Vec<_> = (0..10_000).map(|n| person("acme", &format!("p{n}"))).collect();
    let keys = stored_keys(&sealer, &db.system, &persons).await;
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
async fn a_new_key_is_in_no_memory_but_that_of_its_maker_until_it_is_stored() {
    let db = TestDb::new().await;
    let sealer = sealer(&db.system);
    let (alice, acme) = ([person("acme", "alice")], tenant("acme"));
    let mut unused = sealer.find_keys(&alice).await.unwrap();
    let lost = sealer.new_key(&acme);
    unused.insert(alice[0].clone(), &lost);
    let lost = key_of(&unused.seal(&place(&acme), &named("alice", "Alice")).unwrap());
    assert_eq!(count(&db.owner, "person_keys").await, 0, "nothing is written for it");
    let again = sealer.find_keys(&alice).await.unwrap().seal(&place(&acme), &named("alice", "Alice")).unwrap_err();
    assert!(again.looked_up, "and nobody else has it");

    let stored = stored_keys(&sealer, &db.system, &alice).await;
    let sealed = stored.seal(&place(&acme), &named("alice", "Alice")).unwrap();
    assert_ne!(key_of(&sealed), lost);
    let opening = sealer.load_keys(&acme, [&sealed]).await.unwrap();
    assert!(opening.open(&place(&acme), &sealed).is_some());

    sealer.keep(&stored);
    db.system.connections().close().await;
    let held = sealer.find_keys(&alice).await.expect("the database is not asked");
    assert_eq!(key_of(&held.seal(&place(&acme), &named("alice", "Alice")).unwrap()), key_of(&sealed));
}

#[tokio::test]
async fn answers_to_callers_see_no_keys_and_the_program_changes_none() {
    let db = TestDb::new().await;
    stored_keys(&sealer(&db.system), &db.system, &[person("acme", "alice")]).await;
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
