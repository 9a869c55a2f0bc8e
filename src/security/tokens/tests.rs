//! Tokens that are taken and tokens that are not.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::verifier::check;
use super::*;
use crate::config::{JwksSource, KeysConfig, SigningKey};
use crate::events::time::Timestamp;
use crate::ids::{Actor, TenantId};
use crate::security::caller::Caller;
use crate::security::grants::Grants;
use crate::security::signing_keys::test_keys::{self, set};
use crate::security::signing_keys::{KeyRing, configured};

const SECRET: &[u8] = b"a secret of thirty-two characters";
/// 2026-01-31T09:30:00Z.
const NOW: i64 = 1_769_851_800;

fn now() -> Timestamp {
    Timestamp::from_unix_micros(NOW * 1_000_000).unwrap()
}

fn ring_without(revoked: &[&str]) -> KeyRing {
    let shared = |kid: &str, tenant: Option<&str>| SigningKey {
        kid: kid.into(),
        tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
        secret: SECRET.to_vec().into(),
    };
    let json = set(&[test_keys::rsa_public(), test_keys::ec_public(), test_keys::ed_public()]);
    let config = KeysConfig {
        signing: vec![shared("any", None), shared("acme-only", Some("acme"))],
        jwks: vec![JwksSource { tenant: None, json }],
        ..Default::default()
    };
    KeyRing::of(configured(&config).unwrap(), revoked)
}

fn signed(algorithm: Algorithm, kid: &str, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

fn hs256(kid: &str, claims: &Value) -> String {
    signed(Algorithm::HS256, kid, &EncodingKey::from_secret(SECRET), claims)
}

/// A good token's claims, with others laid over them; null takes one away.
fn claims(other: Value) -> Value {
    let mut claims = json!({ "sub": "alice", "tenant": "acme", "exp": NOW + 60, "grants": { "room_join": true } });
    for (name, value) in other.as_object().unwrap() {
        match value {
            Value::Null => _ = claims.as_object_mut().unwrap().remove(name),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn verify(token: &str) -> Result<Caller, TokenError> {
    check(token, &ring_without(&[]), now()).map(|(caller, _)| caller)
}

fn with(other: Value) -> Result<Caller, TokenError> {
    verify(&hs256("any", &claims(other)))
}

#[track_caller]
fn refused_for(other: Value, part: &str) {
    match with(other.clone()) {
        Err(TokenError::Claims(problem)) => assert!(problem.contains(part), "{other}: {problem}"),
        outcome => panic!("{other}: {outcome:?}"),
    }
}

#[test]
fn a_token_makes_its_bearer_the_person_it_names() {
    let caller = with(json!({ "grants": { "room": "standup", "room_join": true, "role": "viewer" } })).unwrap();
    assert_eq!(caller.tenant.as_str(), "acme");
    assert_eq!(caller.actor.to_string(), "user:alice");
    assert_eq!(caller.grants.room.as_deref(), Some("standup"));
    assert!(caller.grants.room_join && !caller.grants.room_admin);
}

#[test]
fn a_token_without_a_person_acts_as_its_key() {
    let caller = with(json!({ "sub": null, "grants": { "room_admin": true, "room_join": true } })).unwrap();
    assert_eq!(caller.actor, Actor::Key("any".into()));
    let caller = with(json!({ "sub": null, "grants": { "room_list": true } })).unwrap();
    assert_eq!(caller.actor, Actor::Key("any".into()));
    refused_for(json!({ "sub": null, "grants": { "room_join": true } }), "sub is missing");
}

#[test]
fn grants_are_off_unless_they_are_given() {
    assert_eq!(with(json!({ "grants": null })).unwrap().grants, Grants::default());
    refused_for(json!({ "grants": { "room_admim": true } }), "at grants.room_admim");
    refused_for(json!({ "grants": { "room_admin": "yes" } }), "at grants.room_admin");
    refused_for(json!({ "grants": { "role": "owner" } }), "at grants.role");
}

#[test]
fn header_claims_and_grants_are_objects_and_no_lists() {
    // In the order of the fields: everything would be granted.
    let grants = json!([null, true, "host", true, true, true, true]);
    refused_for(json!({ "grants": grants }), "at grants");
    refused_for(json!({ "grants": "all" }), "at grants");
    refused_for(json!({ "grants": [] }), "at grants");
    let positional = json!(["alice", "acme", { "room_admin": true }, NOW + 60]);
    for claims in [positional, json!("alice"), json!(7), Value::Null] {
        let refused = verify(&hs256("any", &claims));
        assert!(matches!(refused, Err(TokenError::Claims(_))), "{claims}: {refused:?}");
    }
    let payload = base64_url(claims(json!({})).to_string().as_bytes());
    for (header, taken) in [
        (r#"{"alg":"HS256","kid":"any"}"#, true),
        (r#"["HS256","any",null]"#, false),
        (r#"{"alg":"HS256","kid":"any","alg":"HS256"}"#, false),
        (r#""HS256""#, false),
    ] {
        let message = format!("{}.{payload}", base64_url(header.as_bytes()));
        let key = EncodingKey::from_secret(SECRET);
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        let outcome = verify(&format!("{message}.{signature}"));
        let refused = matches!(outcome, Err(TokenError::Malformed(_)));
        assert_eq!((outcome.is_ok(), refused), (taken, !taken), "{header}: {outcome:?}");
    }
}

#[test]
fn claims_for_the_reader_only_are_ignored_whatever_they_hold() {
    for ignored in [json!(7), json!("yesterday"), json!([1]), json!({ "a": 1 }), json!(-1.5), json!(true)] {
        for claim in ["iat", "jti", "iss", "scope"] {
            assert!(with(json!({ claim: ignored })).is_ok(), "{claim}: {ignored}");
        }
    }
}

#[test]
fn what_operators_see_is_granted_to_servers_by_keys_for_all_tenants() {
    let operator = |other: Value| {
        let mut asked = json!({ "sub": null, "grants": { "operator": true } });
        asked.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        claims(asked)
    };
    assert!(verify(&hs256("any", &operator(json!({})))).unwrap().grants.operator);
    assert!(!with(json!({ "grants": { "room_list": true } })).unwrap().grants.operator);
    refused_for(operator(json!({ "sub": "alice" })), "without sub");
    match verify(&hs256("acme-only", &operator(json!({})))) {
        Err(TokenError::Claims(problem)) => assert!(problem.contains("all tenants"), "{problem}"),
        outcome => panic!("{outcome:?}"),
    }
}

#[test]
fn no_word_of_a_type_of_the_program_is_told_to_who_bears_a_token() {
    for other in
        [json!({ "grants": { "room_join": 1 } }), json!({ "aud": 7 }), json!({ "exp": [] }), json!({ "sub": {} })]
    {
        let Err(TokenError::Claims(problem)) = with(other.clone()) else { panic!("{other} was taken") };
        for word in ["struct", "enum", "sequence", "u64", "variant"] {
            assert!(!problem.contains(word), "{problem}");
        }
    }
}

#[test]
fn every_kind_of_key_verifies_with_its_own_algorithm() {
    for (algorithm, kid, key) in [
        (Algorithm::RS256, "r", test_keys::rsa_private()),
        (Algorithm::ES256, "e", test_keys::ec_private()),
        (Algorithm::EdDSA, "o", test_keys::ed_private()),
    ] {
        let token = signed(algorithm, kid, &key, &claims(json!({})));
        assert_eq!(verify(&token).unwrap().actor.to_string(), "user:alice", "{algorithm:?}");
        let (message, signature) = token.rsplit_once('.').unwrap();
        let other = signed(algorithm, kid, &key, &claims(json!({ "sub": "mallory" })));
        let forged = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
        assert_eq!(verify(&forged).unwrap_err(), TokenError::Signature, "{algorithm:?}");
        assert_eq!(verify(&format!("{message}.")).unwrap_err(), TokenError::Signature, "{algorithm:?}");
    }
}

#[test]
fn a_token_ends_at_the_second_it_says_and_not_later() {
    assert_eq!(with(json!({ "exp": NOW })).unwrap_err(), TokenError::Expired);
    assert_eq!(with(json!({ "exp": NOW - 1 })).unwrap_err(), TokenError::Expired);
    assert_eq!(with(json!({ "exp": -1e300 })).unwrap_err(), TokenError::Expired);
    let token = hs256("any", &claims(json!({ "exp": NOW as f64 + 0.5 })));
    let (_, expires_at) = check(&token, &ring_without(&[]), now()).unwrap();
    assert_eq!(expires_at.unix_micros(), NOW * 1_000_000 + 500_000);
}

#[test]
fn a_token_without_an_end_or_with_one_too_far_away_is_refused() {
    refused_for(json!({ "exp": null }), "exp is missing");
    refused_for(json!({ "exp": NOW + MAX_LIFE_S + 1 }), "366 days");
    refused_for(json!({ "exp": 1e300 }), "366 days");
    refused_for(json!({ "exp": i64::MAX }), "366 days");
    refused_for(json!({ "exp": u64::MAX }), "366 days");
    refused_for(json!({ "exp": "tomorrow" }), "at exp");
    assert!(with(json!({ "exp": NOW + MAX_LIFE_S })).is_ok());
}

#[test]
fn a_token_is_not_good_before_its_time_but_clocks_may_differ_a_little() {
    assert!(with(json!({ "nbf": NOW + LEEWAY_S })).is_ok());
    assert_eq!(with(json!({ "nbf": NOW + LEEWAY_S + 1 })).unwrap_err(), TokenError::NotYet);
    refused_for(json!({ "nbf": [] }), "at nbf");
}

#[test]
fn a_token_for_another_audience_is_refused() {
    assert!(with(json!({ "aud": "convoke" })).is_ok());
    assert!(with(json!({ "aud": ["other", "convoke"] })).is_ok());
    for audience in [json!("other"), json!([]), json!(["other"]), json!("Convoke")] {
        assert_eq!(with(json!({ "aud": audience })).unwrap_err(), TokenError::Audience);
    }
    refused_for(json!({ "aud": 7 }), "at aud");
}

#[test]
fn a_key_of_one_tenant_signs_for_no_other() {
    let own = verify(&hs256("acme-only", &claims(json!({ "tenant": null })))).unwrap();
    assert_eq!(own.tenant.as_str(), "acme", "the key says so");
    let other = hs256("acme-only", &claims(json!({ "tenant": "other" })));
    assert_eq!(verify(&other).unwrap_err(), TokenError::OtherTenant);
    refused_for(json!({ "tenant": null }), "tenant is missing");
    refused_for(json!({ "tenant": "No Tenant" }), "at tenant");
}

#[test]
fn a_token_without_a_signature_is_refused_whatever_it_says() {
    let encode = |value: &Value| base64_url(value.to_string().as_bytes());
    for algorithm in ["none", "None", "NONE", ""] {
        let header = json!({ "alg": algorithm, "kid": "any" });
        for signature in ["", "AAAA"] {
            let token = format!("{}.{}.{signature}", encode(&header), encode(&claims(json!({}))));
            assert!(matches!(verify(&token), Err(TokenError::Algorithm { .. })), "{algorithm:?}");
        }
    }
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    let modulus = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, test_keys::RSA_N).unwrap();
    let known_to_all =
        [test_keys::RSA_N.as_bytes().to_vec(), modulus, test_keys::rsa_public().to_string().into_bytes()];
    for secret in known_to_all {
        let token = signed(Algorithm::HS256, "r", &EncodingKey::from_secret(&secret), &claims(json!({})));
        let refused = TokenError::Algorithm { named: "HS256".into(), expected: "RS256" };
        assert_eq!(verify(&token).unwrap_err(), refused);
    }
    let token = signed(Algorithm::RS256, "any", &test_keys::rsa_private(), &claims(json!({})));
    let refused = TokenError::Algorithm { named: "RS256".into(), expected: "HS256" };
    assert_eq!(verify(&token).unwrap_err(), refused);
    let token = signed(Algorithm::HS512, "any", &EncodingKey::from_secret(SECRET), &claims(json!({})));
    assert!(matches!(verify(&token), Err(TokenError::Algorithm { .. })));
}

#[test]
fn unknown_and_revoked_keys_and_tokens_that_name_none_are_refused() {
    let token = hs256("nobody", &claims(json!({})));
    assert_eq!(verify(&token).unwrap_err(), TokenError::UnknownKey { kid: "nobody".into() });
    let token = hs256("any", &claims(json!({})));
    let revoked = check(&token, &ring_without(&["any"]), now()).unwrap_err();
    assert_eq!(revoked, TokenError::RevokedKey { kid: "any".into() });
    let token =
        jsonwebtoken::encode(&Header::default(), &claims(json!({})), &EncodingKey::from_secret(SECRET)).unwrap();
    assert_eq!(verify(&token).unwrap_err(), TokenError::NoKid);
}

#[test]
fn a_token_that_asks_for_extensions_is_refused() {
    let header = base64_url(br#"{"alg":"HS256","kid":"any","crit":["exp"]}"#);
    let payload = base64_url(claims(json!({})).to_string().as_bytes());
    let message = format!("{header}.{payload}");
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    assert!(matches!(verify(&format!("{message}.{signature}")), Err(TokenError::Malformed(_))));
}

#[test]
fn what_was_minted_is_what_is_verified() {
    let claims = Claims {
        sub: Some("alice".parse().unwrap()),
        tenant: Some("acme".parse().unwrap()),
        grants: Grants::everything(),
        exp: Some(NumericDate::at(now().plus_seconds(60))),
        aud: Some(TokenAudience::One(AUDIENCE.into())),
        ..Claims::default()
    };
    let caller = verify(&mint("any", SECRET, &claims)).unwrap();
    assert_eq!(caller.grants, Grants::everything());
    let plain = jsonwebtoken::Validation::new(Algorithm::HS256);
    let mut plain = jsonwebtoken::Validation { validate_exp: false, ..plain };
    plain.set_audience(&[AUDIENCE]);
    let token = mint("any", SECRET, &claims);
    let read = jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_secret(SECRET), &plain).unwrap();
    assert_eq!(read.claims["sub"], "alice", "any other program reads it too");
}

fn base64_url(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes)
}

proptest! {
    #[test]
    fn any_text_at_all_is_refused_without_a_panic(text in "(?s).{0,300}", dots in "[A-Za-z0-9_.-]{0,300}") {
        prop_assert!(verify(&text).is_err());
        prop_assert!(verify(&dots).is_err());
    }

    #[test]
    fn any_header_is_refused_without_a_panic(header in "\\PC{0,100}", alg in "\\PC{0,10}", kid in "\\PC{0,10}") {
        prop_assert!(verify(&(base64_url(header.as_bytes()) + ".e30.AAAA")).is_err());
        let header = json!({ "alg": alg, "kid": kid }).to_string();
        prop_assert!(verify(&(base64_url(header.as_bytes()) + ".e30.AAAA")).is_err());
    }

    #[test]
    fn a_token_changed_anywhere_is_refused(at in any::<prop::sample::Index>(), by in 1_u8..64) {
        let token = hs256("any", &claims(json!({})));
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut bytes = token.into_bytes();
        let index = at.index(bytes.len());
        let old = alphabet.iter().position(|letter| *letter == bytes[index]);
        bytes[index] = old.map_or(b'A', |old| alphabet[(old + usize::from(by)) % 64]);
        prop_assert!(verify(std::str::from_utf8(&bytes).unwrap()).is_err());
    }

    #[test]
    fn claims_of_any_shape_are_judged_without_a_panic(
        exp in any::<f64>(), nbf in any::<f64>(), sub in "\\PC{0,140}", tenant in "\\PC{0,70}",
    ) {
        let json = claims(json!({ "exp": exp, "nbf": nbf, "sub": sub, "tenant": tenant }));
        if let Ok(caller) = verify(&hs256("any", &json)) {
            prop_assert!(TenantId::new(caller.tenant.as_str()).is_ok());
        }
    }
}
