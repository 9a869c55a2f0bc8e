//! Keys in the table: made for a tenant, revoked for good.

use std::sync::Arc;
use std::time::Duration;

use convoke::config::SigningKey;
use convoke::events::time::{Clock, Timestamp};
use convoke::security::grants::Grants;
use convoke::security::signing_keys::{KeyStore, KeyStoreError};
use convoke::security::tokens::{Claims, NumericDate, TokenError, TokenVerifier, mint};
use tokio_util::sync::CancellationToken;

use super::{keys_config, masters, sealer, tenant, watch_keys};
use crate::harness::{TestDb, eventually};

const SECRET: &[u8] = b"a secret of thirty-two characters";

fn now() -> Timestamp {
    Clock::system().now()
}

fn claims(tenant_text: &str) -> Claims {
    Claims {
        sub: Some("alice".parse().unwrap()),
        tenant: Some(tenant(tenant_text)),
        grants: Grants { room_join: true, ..Grants::default() },
        exp: Some(NumericDate::at(now().plus_seconds(3600))),
        ..Claims::default()
    }
}

fn verifier(db: &TestDb) -> TokenVerifier {
    let key = SigningKey { kid: "main".into(), tenant: None, secret: SECRET.to_vec().into() };
    TokenVerifier::new(&keys_config(vec![key]), db.system.clone()).unwrap()
}

fn store(db: &TestDb) -> KeyStore {
    KeyStore::new(db.system.clone(), Arc::new(masters(&["a"])))
}

#[tokio::test]
async fn a_key_made_for_a_tenant_signs_for_it_alone() {
    let db = TestDb::new().await;
    let made = store(&db).create(&tenant("acme"), None, now()).await.unwrap();
    let verifier = verifier(&db);
    let caller = verifier.verify(&mint(&made.kid, made.secret.as_bytes(), &claims("acme")), now()).await.unwrap();
    assert_eq!((caller.tenant.as_str(), caller.actor.to_string().as_str()), ("acme", "user:alice"));
    let foreign = mint(&made.kid, made.secret.as_bytes(), &claims("other"));
    assert_eq!(verifier.verify(&foreign, now()).await.unwrap_err(), TokenError::OtherTenant);
    let stored: Vec<u8> =
        sqlx::query_scalar("SELECT wrapped FROM convoke.signing_keys").fetch_one(&db.owner).await.unwrap();
    let secret = made.secret.as_bytes();
    assert!(!stored.windows(16).any(|part| part == &secret[..16]), "the secret is not in the table");
}

#[tokio::test]
async fn a_revoked_key_verifies_nothing_more_not_even_a_token_seen_before() {
    let db = TestDb::new().await;
    let (store, verifier) = (store(&db), verifier(&db));
    let made = store.create(&tenant("acme"), Some("server-1"), now()).await.unwrap();
    verifier.refresh().await.unwrap();
    let tokens = [mint("server-1", made.secret.as_bytes(), &claims("acme")), mint("main", SECRET, &claims("acme"))];
    for token in &tokens {
        let first = verifier.verify(token, now()).await.unwrap();
        let again = verifier.verify(token, now()).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again), "it is verified once");
    }
    for kid in ["server-1", "main"] {
        assert!(store.revoke(kid, now()).await.unwrap());
        assert!(!store.revoke(kid, now()).await.unwrap(), "it was already");
    }
    verifier.refresh().await.unwrap();
    for (token, kid) in tokens.iter().zip(["server-1", "main"]) {
        let refused = verifier.verify(token, now()).await.unwrap_err();
        assert_eq!(refused, TokenError::RevokedKey { kid: kid.into() });
    }
    let listed = store.list().await.unwrap();
    let listed: Vec<_> =
        listed.iter().map(|key| (key.kid.as_str(), key.tenant.is_some(), key.revoked_at.is_some())).collect();
    assert_eq!(listed, [("main", false, true), ("server-1", true, true)]);
    let again = store.create(&tenant("acme"), Some("server-1"), now()).await;
    assert!(matches!(again, Err(KeyStoreError::Taken { .. })), "an id never comes back");
    let again = store.create(&tenant("acme"), Some("main"), now()).await;
    assert!(matches!(again, Err(KeyStoreError::Taken { .. })), "nor that of a key of the configuration");
}

#[tokio::test]
async fn a_key_of_the_configuration_goes_before_one_of_the_table() {
    let db = TestDb::new().await;
    let made = store(&db).create(&tenant("acme"), Some("main"), now()).await.unwrap();
    let verifier = verifier(&db);
    let forged = mint("main", made.secret.as_bytes(), &claims("acme"));
    assert_eq!(verifier.verify(&forged, now()).await.unwrap_err(), TokenError::Signature);
    assert!(verifier.verify(&mint("main", SECRET, &claims("acme")), now()).await.is_ok());
}

#[tokio::test]
async fn key_ids_are_plain() {
    let db = TestDb::new().await;
    for kid in ["", "a b", "ä", "a/b", &"a".repeat(65)] {
        let made = store(&db).create(&tenant("acme"), Some(kid), now()).await;
        assert!(matches!(made, Err(KeyStoreError::BadKid { .. })), "{kid:?}");
    }
}

#[tokio::test]
async fn a_revocation_is_heard_by_a_running_process() {
    let db = TestDb::new().await;
    let verifier = verifier(&db);
    let token = mint("main", SECRET, &claims("acme"));
    assert!(verifier.verify(&token, now()).await.is_ok());
    let stop = CancellationToken::new();
    let watching = tokio::spawn(watch_keys(db.system.clone(), sealer(&db.system), verifier.clone(), stop.clone()));
    store(&db).revoke("main", now()).await.unwrap();
    eventually("the token is refused", Duration::from_secs(20), async || verifier.verify(&token, now()).await.err())
        .await;
    stop.cancel();
    watching.await.unwrap();
}

#[tokio::test]
async fn without_the_table_nothing_is_verified_that_was_not_before() {
    let db = TestDb::new().await;
    let verifier = verifier(&db);
    let token = mint("main", SECRET, &claims("acme"));
    db.system.connections().close().await;
    assert!(matches!(verifier.verify(&token, now()).await, Err(TokenError::Unavailable(_))));
    let told = verifier.verify(&token, now()).await.unwrap_err().to_string();
    assert!(!told.contains("pool"), "what failed is not for callers: {told}");
}

#[tokio::test]
async fn a_damaged_row_shuts_out_its_own_key_only() {
    let db = TestDb::new().await;
    let store = store(&db);
    let bad = store.create(&tenant("acme"), Some("bad"), now()).await.unwrap();
    let good = store.create(&tenant("acme"), Some("good"), now()).await.unwrap();
    sqlx::query("UPDATE convoke.signing_keys SET tenant = 'other' WHERE kid = 'bad'").execute(&db.owner).await.unwrap();
    let verifier = verifier(&db);
    let refused = verifier.verify(&mint("bad", bad.secret.as_bytes(), &claims("other")), now()).await.unwrap_err();
    assert_eq!(refused, TokenError::UnknownKey { kid: "bad".into() });
    assert!(verifier.verify(&mint("good", good.secret.as_bytes(), &claims("acme")), now()).await.is_ok());
}

#[tokio::test]
async fn a_token_longer_than_eight_kib_is_refused_unread() {
    let db = TestDb::new().await;
    let refused = verifier(&db).verify(&"a".repeat(8 * 1024 + 1), now()).await.unwrap_err();
    assert_eq!(refused, TokenError::TooLong);
}
