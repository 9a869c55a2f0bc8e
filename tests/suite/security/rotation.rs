//! Another master key, without touching what was sealed.

use convoke::events::sealed::Sealed;
use convoke::events::time::Clock;
use convoke::security::sealing::{KeyError, MasterKeys, Sealer};
use convoke::security::signing_keys::KeyStore;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{masters, named, person, place, stored_keys, tenant};
use crate::harness::TestDb;

async fn seal_many(db: &TestDb, sealer: &Sealer, identities: std::ops::Range<u32>) -> Vec<Sealed> {
    let persons: Vec<_> = identities.clone().map(|n| person("acme", &format!("p{n}"))).collect();
    let keys = stored_keys(sealer, &db.system, &persons).await;
    identities.map(|n| keys.seal(&place(&tenant("acme")), &named(&format!("p{n}"), "P")).unwrap()).collect()
}

async fn all_open(sealer: &Sealer, sealed: &[Sealed]) -> Result<bool, KeyError> {
    let acme = tenant("acme");
    let opening = sealer.load_keys(&acme, sealed).await?;
    Ok(sealed.iter().all(|sealed| opening.open(&place(&acme), sealed).is_some()))
}

#[tokio::test]
async fn after_a_rotation_the_old_master_key_can_go_and_everything_still_opens() {
    let db = TestDb::new().await;
    let with = |ids: &[&str]| Sealer::new(db.system.clone(), masters(ids));
    let sealed = seal_many(&db, &with(&["a"]), 0..4_100).await;
    let store = KeyStore::new(db.system.clone(), masters(&["a"]).into());
    store.create(&tenant("acme"), Some("server"), Clock::system().now()).await.unwrap();

    let both = with(&["b", "a"]);
    assert!(all_open(&both, &sealed).await.unwrap(), "old keys open beside the new master key");
    let later = seal_many(&db, &both, 5_000..5_010).await;
    let mut told = Vec::new();
    let done = both.rewrap(&CancellationToken::new(), |progress| told.push(progress.done)).await.unwrap();
    assert_eq!((done.total, done.done, done.damaged, done.stopped), (4_101, 4_101, 0, false));
    assert_eq!(done.retired, ["a"]);
    assert!(told.len() > 3 && told.is_sorted(), "{told:?}");

    let new_only = with(&["b"]);
    new_only.check_masters().await.expect("the old master key is not needed");
    assert!(all_open(&new_only, &sealed).await.unwrap());
    assert!(all_open(&new_only, &later).await.unwrap());
    let again = both.rewrap(&CancellationToken::new(), |_| {}).await.unwrap();
    assert_eq!((again.total, again.done), (0, 0), "there is nothing more to do");
}

#[tokio::test]
async fn a_rotation_that_is_stopped_goes_on_where_it_was() {
    let db = TestDb::new().await;
    let sealed = seal_many(&db, &Sealer::new(db.system.clone(), masters(&["a"])), 0..4_100).await;
    let both = Sealer::new(db.system.clone(), masters(&["b", "a"]));
    let stop = CancellationToken::new();
    let first = both
        .rewrap(&stop, |progress| {
            if progress.done > 0 {
                stop.cancel();
            }
        })
        .await
        .unwrap();
    assert!(first.stopped && first.done > 0 && first.done < 4_100, "{first:?}");
    assert!(first.retired.is_empty());
    let second = both.rewrap(&CancellationToken::new(), |_| {}).await.unwrap();
    assert_eq!(second.total, 4_100 - first.done);
    assert!(all_open(&Sealer::new(db.system.clone(), masters(&["b"])), &sealed).await.unwrap());
}

#[tokio::test]
async fn a_damaged_key_is_counted_and_keeps_its_master_key_in_use() {
    let db = TestDb::new().await;
    let sealed = seal_many(&db, &Sealer::new(db.system.clone(), masters(&["a"])), 0..3).await;
    let damage = "UPDATE convoke.person_keys SET wrapped = set_byte(wrapped, 71, get_byte(wrapped, 71) # 1)
        WHERE identity = 'p1'";
    sqlx::query(damage).execute(&db.owner).await.unwrap();
    let both = Sealer::new(db.system.clone(), masters(&["b", "a"]));
    let done = both.rewrap(&CancellationToken::new(), |_| {}).await.unwrap();
    assert_eq!((done.total, done.done, done.damaged), (3, 2, 1));
    assert!(done.retired.is_empty());
    assert!(matches!(all_open(&both, &sealed).await, Err(KeyError::Damaged { .. })), "it is not taken for an erasure");
}

#[tokio::test]
async fn a_master_key_that_is_missing_or_another_is_told_before_anything_is_sealed() {
    let db = TestDb::new().await;
    let persons = [person("acme", "alice")];
    stored_keys(&Sealer::new(db.system.clone(), masters(&["a"])), &db.system, &persons).await;

    let missing = Sealer::new(db.system.clone(), masters(&["b"]));
    let problem = missing.find_keys(&persons).await.unwrap_err();
    assert!(matches!(&problem, KeyError::UnknownMaster { id } if id == "a"), "{problem}");

    let other = MasterKeys::new([("a".to_owned(), Zeroizing::new([0; 32]))]).unwrap();
    let other = Sealer::new(db.system.clone(), other);
    let problem = other.check_masters().await.unwrap_err();
    assert!(matches!(&problem, KeyError::ChangedMaster { id } if id == "a"), "{problem}");
}
