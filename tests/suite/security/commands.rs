//! Tokens and keys on the command line, beside a running server.

use std::time::Duration;

use convoke::events::time::Clock;
use convoke::security::grants::Grants;
use convoke::security::tokens::{Claims, NumericDate, mint};
use serde_json::{Value, json};

use super::count;
use crate::api::{Answer, Service, server_token};
use crate::harness::{Run, TestDb, eventually};

const SOON: Duration = Duration::from_secs(30);
const SECRET: &str = "a-secret-of-the-tests-that-is-long-enough-to-sign";

async fn rooms(service: &Service, token: &str) -> Answer {
    Answer::of(service.get(token, "/v1/events?limit=1")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_the_command_line_is_taken_until_its_key_is_revoked() {
    let service = Service::start().await;
    let convoke = |args: &[&str]| service.run.clone().args(args.iter().copied());
    let made = convoke(&["token", "create", "--grant", "room_list"]).run().await;
    assert_eq!(made.status, 0, "{made:?}");
    let token = made.stdout.trim();
    rooms(&service, token).await.is(200);

    // What operators see is of all tenants: no other grant, not even all of them, shows it.
    for (grant, status) in [("room_list", 403), ("all", 403), ("operator", 200)] {
        let made = convoke(&["token", "create", "--grant", grant]).run().await;
        for path in ["/v1/log", "/v1/projections"] {
            Answer::of(service.get(made.stdout.trim(), path)).await.is(status);
        }
    }

    let key = convoke(&["token", "key", "create", "--tenant", "acme", "--key", "acme-1", "--json"]).json().await;
    let own = Claims {
        tenant: Some("acme".parse().unwrap()),
        grants: Grants { operator: true, room_list: true, ..Grants::default() },
        exp: Some(NumericDate::at(Clock::system().now().plus_seconds(60))),
        ..Claims::default()
    };
    let own = mint("acme-1", key["secret"].as_str().unwrap().as_bytes(), &own);
    eventually("the key is known", SOON, async || {
        let refused = Answer::of(service.get(&own, "/v1/log")).await.is(401);
        refused.body["detail"].as_str().unwrap().contains("about all tenants").then_some(())
    })
    .await;
    assert_eq!((&key["kid"], &key["tenant"]), (&json!("acme-1"), &json!("acme")));
    let listed = convoke(&["token", "key", "list", "--json"]).json().await;
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|key| (&key["kid"], &key["source"])).collect();
    assert_eq!(listed, [(&json!("acme-1"), &json!("database")), (&json!("main"), &json!("configuration"))]);

    let revoked = convoke(&["token", "key", "revoke", "main"]).run().await;
    assert_eq!(revoked.stdout, "revoked\n");
    eventually("the token is refused", SOON, async || (rooms(&service, token).await.status == 401).then_some(())).await;
    rooms(&service, token).await.problem("token-invalid");
}

#[tokio::test]
async fn what_no_token_should_hold_is_refused_with_the_remedy() {
    let run = || Run::new().with("CONVOKE_SIGNING_KEYS", &format!("acme-1@acme:{SECRET}"));
    for (args, told) in [
        (&["--grant", "room_join"][..], "add --identity"),
        (&["--grant", "room_list", "--tenant", "other"], "no signing key"),
        (&["--grant", "room_list", "--tenant", "other", "--key", "acme-1"], "signs for the tenant acme only"),
        (&["--grant", "room_list", "--key", "nobody"], "there is no signing key nobody"),
        (&["--grant", "room_list", "--ttl", "367d"], "366 days"),
        (&["--grant", "room_list", "--ttl", "soon"], "15m, 8h or 30d"),
        (&["--grant", "operator"], "the key acme-1 signs for acme only"),
        (&["--grant", "operator", "--identity", "alice"], "omit --identity"),
        (&["--grant", "everything"], "possible values"),
        (&["--grant", "room_list", "--tenant", "No Tenant"], "a tenant is"),
        (&[], "--grant"),
    ] {
        let ended = run().args(["token", "create"]).args(args.iter().copied()).run().await;
        assert!(ended.status != 0 && ended.stderr.contains(told), "{args:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
    }
    let bound = run().args(["token", "create", "--grant", "room_list", "--json"]).json().await;
    assert_eq!(bound["tenant"], "acme", "of the key, where nothing else is said");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_person_reads_as_erased_from_a_running_server_and_the_room_goes_on() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    service.join(&room, "bob", "speaker").await;
    let names = async || {
        let page =
            Answer::of(service.get(&server_token(), &format!("/v1/rooms/{room}/events?limit=100"))).await.is(200);
        let joined = page.body["events"].as_array().unwrap().clone().into_iter();
        joined
            .filter(|event| event["type"] == "room.participant-joined")
            .map(|event| (event["personal"]["display_name"].clone(), event["erased"].clone()))
            .collect::<Vec<(Value, Value)>>()
    };
    let open = |name: &str| (json!(name), Value::Null);
    assert_eq!(names().await, [open("The alice"), open("The bob")]);

    service.command(&crate::api::person("alice"), &room, "send-message", &json!({ "text": "hello" })).await.is(200);
    let convoke = |args: &[&str]| service.run.clone().args(args.iter().copied());
    let digests = async || {
        eventually("the read models are there", SOON, async || {
            let models = convoke(&["projection", "list", "--json"]).json().await;
            let models = models.as_array().unwrap().iter();
            let models: Vec<_> = models.map(|model| (model["lag_events"].clone(), model["digest"].clone())).collect();
            models.iter().all(|(lag, _)| *lag == 0).then_some(models)
        })
        .await
    };
    let before = digests().await;
    let erase = ["erase", "--tenant", "acme", "--identity", "alice"];
    let unsure = service.run.clone().args(erase).run().await;
    assert!(unsure.status == 2 && unsure.stderr.contains("--yes"), "{unsure:?}");
    let erased = service.run.clone().args(erase).args(["--yes"]).run().await;
    assert!(erased.status == 0 && erased.stdout.starts_with("erased, at position "), "{erased:?}");
    let page = Answer::of(service.get(&server_token(), "/v1/events?limit=100")).await.is(200);
    let event = page.body["events"].as_array().unwrap().last().unwrap();
    assert_eq!((&event["type"], &event["actor"]), (&json!("person.erased"), &json!("system:operator")));
    let again = service.run.clone().args(erase).args(["--yes"]).run().await;
    assert_eq!((again.status, again.stdout.as_str()), (0, "no personal data is stored for this person\n"));
    let gone = (Value::Null, json!(true));
    eventually("alice reads as erased", SOON, async || {
        (names().await == [gone.clone(), open("The bob")]).then_some(())
    })
    .await;

    // It touched no row and no event: digests are what they were, a fresh fold gives them again, and the log is whole.
    assert_eq!(digests().await, before);
    for proof in [["projection", "verify"], ["log", "verify"]] {
        let proof = convoke(&proof).run().await;
        assert_eq!(proof.status, 0, "{proof:?}");
    }

    service.command(&crate::api::person("alice"), &room, "raise-hand", &json!({})).await.is(200);
    service.command(&crate::api::person("alice"), &room, "leave", &json!({})).await.is(200);
    service.join(&room, "alice", "host").await;
    assert_eq!(names().await, [gone, open("The bob"), open("The alice")], "who comes again is somebody new");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_wrapped_anew_on_the_command_line() {
    let db = TestDb::new().await;
    let persons: Vec<_> = (0..50).map(|n| super::person("acme", &format!("p{n}"))).collect();
    let old = super::masters(&["a"]);
    super::stored_keys(&convoke::security::sealing::Sealer::new(db.system.clone(), old), &db.system, &persons).await;
    let key = |byte: u8| base64(&[byte; 32]);
    let with = |masters: String| Run::on(&db).with("CONVOKE_MASTER_KEYS", &masters).args(["keys", "rewrap"]);

    let missing = with(format!("b:{}", key(b'b'))).run().await;
    assert!(missing.status == 1 && missing.stderr.contains("master key a"), "{missing:?}");
    let other = with(format!("b:{},a:{}", key(b'b'), key(0))).run().await;
    assert!(other.status == 1 && other.stderr.contains("another master key of the id a"), "{other:?}");
    let both = with(format!("b:{},a:{}", key(b'b'), key(b'a')));
    let done = both.clone().args(["--json"]).json().await;
    assert_eq!(done, json!({ "total": 50, "done": 50, "damaged": 0, "retired": ["a"], "stopped": false }));
    let again = with(format!("b:{}", key(b'b'))).run().await;
    assert_eq!((again.status, again.stdout.as_str()), (0, "0 keys rewrapped\n"), "{again:?}");
    assert_eq!(count(&db.owner, "master_keys").await, 1);
}

#[tokio::test]
async fn public_keys_that_are_not_fit_are_told_before_a_server_starts() {
    let weak = json!({ "keys": [{ "kty": "RSA", "kid": "weak", "e": "AQAB", "n": "_____w" }] }).to_string();
    for command in [&["config", "check"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let ended = Run::new().with("CONVOKE_JWKS", &weak).args(command.iter().copied()).run().await;
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(told.contains("CONVOKE_JWKS") && told.contains("key 1 is a weak RSA key"), "{told}");
    }
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes)
}
