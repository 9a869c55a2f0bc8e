//! What is exported: the shape, the selection, personal fields, packing.

use serde_json::{Value, json};

use super::{export, lines, positions, text};
use crate::api::{Answer, Service, person, server_token};
use crate::harness::{Run, TestDb, folder};
use crate::log::reading::half_a_year;
use crate::log::{log_of, room, room_of, write};

async fn talk(service: &Service) -> String {
    let room = service.room(&json!({ "name": "standup" })).await;
    for (identity, role) in [("alice", "host"), ("bob", "speaker")] {
        service.join(&room, identity, role).await;
    }
    for message in [json!({ "text": "hello all" }), json!({ "text": "psst", "to": { "identities": ["bob"] } })] {
        service.command(&person("alice"), &room, "send-message", &message).await.is(200);
    }
    service.command(&person("bob"), &room, "raise-hand", &json!({})).await.is(200);
    room
}

/// What the API answers to a server, as lines.
async fn shown(service: &Service, path: &str) -> String {
    let request = service.get(&server_token(), path).header("accept", "application/x-ndjson");
    Answer::of(request).await.is(200).text
}

async fn exported(run: &Run, args: &[&str]) -> String {
    let ended = run.clone().args(["export"]).args(args.iter().copied()).run().await;
    assert_eq!(ended.status, 0, "{ended:?}");
    ended.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_what_the_api_shows_byte_for_byte() {
    let service = Service::start().await;
    let (room, other) = (talk(&service).await, talk_elsewhere(&service).await);
    let open = exported(&service.run, &["--tenant", "acme", "--open"]).await;
    assert_eq!(open, shown(&service, "/v1/events").await);
    for room in [&room, &other] {
        let open = exported(&service.run, &["--tenant", "acme", "--room", room, "--open", "-"]).await;
        assert_eq!(open, shown(&service, &format!("/v1/rooms/{room}/events")).await);
    }
    let sealed = lines(&exported(&service.run, &["--tenant", "acme"]).await);
    let mut expected = lines(&open);
    assert!(expected.iter().any(|event| event["personal"]["text"] == "psst"));
    for event in &mut expected {
        if event.as_object_mut().unwrap().remove("personal").is_some() {
            event["withheld"] = json!(true);
        }
    }
    assert_eq!(sealed, expected, "personal fields stay sealed unless asked for");
    for event in &mut expected {
        event["tenant"] = json!("acme");
    }
    assert_eq!(lines(&exported(&service.run, &[]).await), expected, "of all tenants: the tenant with each");
}

/// A room without anything personal.
async fn talk_elsewhere(service: &Service) -> String {
    let room = service.room(&json!({})).await;
    service.command(&server_token(), &room, "lock-room", &json!({})).await.is(200);
    room
}

#[tokio::test(flavor = "multi_thread")]
async fn the_erased_are_shown_erased_and_what_no_key_opens_stays_sealed() {
    let service = Service::start().await;
    let room = talk(&service).await;
    let erase = ["erase", "--tenant", "acme", "--identity", "alice", "--yes"];
    assert_eq!(service.run.clone().args(erase).run().await.status, 0);
    let of_room = ["--tenant", "acme", "--room", &room, "--open"];
    let open = lines(&exported(&service.run, &of_room).await);
    let told = |events: &[Value], name: &str| -> Vec<String> {
        let personal = events.iter().filter(|event| event["type"] == name);
        let state = |event: &Value| match (&event["personal"], &event["erased"], &event["withheld"]) {
            (Value::Object(fields), Value::Null, Value::Null) => fields.values().next().unwrap().to_string(),
            (Value::Null, Value::Bool(true), Value::Null) => "erased".into(),
            (Value::Null, Value::Null, Value::Bool(true)) => "sealed".into(),
            _ => panic!("{event}"),
        };
        personal.map(state).collect()
    };
    assert_eq!(told(&open, "room.participant-joined"), ["erased", "\"The bob\""]);
    assert_eq!(told(&open, "room.message-sent"), ["erased", "erased"]);

    let run = service.run.clone().with("CONVOKE_MASTER_KEYS", "new:dGhpcyBrZXkgc2VhbHMgZm9yIG90aGVycyBvbmx5ISE=");
    let ended = run.args(["export"]).args(of_room).run().await;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.stderr.contains("not in CONVOKE_MASTER_KEYS: tests"), "{}", ended.stderr);
    assert_eq!(told(&lines(&ended.stdout), "room.participant-joined"), ["erased", "sealed"]);
}

#[tokio::test]
async fn positions_and_times_bound_what_is_exported() {
    let db = TestDb::new().await;
    let (log, key) = half_a_year(&db).await;
    let id = key.room.to_string();
    let acme = ["--tenant", "acme"];
    let of_room = ["--tenant", "acme", "--room", &id];
    let export = async |args: &[&[&str]]| {
        let ended = export(&db, &args.concat()).run().await;
        assert_eq!(ended.status, 0, "{ended:?}");
        positions(&ended.stdout)
    };
    // Odd positions are of the tenant acme, eight of each month.
    for whose in [&[][..], &acme, &of_room] {
        let step = if whose.is_empty() { 1 } else { 2 };
        let all = |from: u64, to: u64| -> Vec<u64> {
            (from..=to).filter(|position| step == 1 || position % 2 == 1).collect()
        };
        assert_eq!(export(&[whose]).await, all(1, 48));
        for (after, to) in [(0, 5), (7, 8), (8, 17), (13, 13), (47, 48), (48, 48)] {
            let found = export(&[whose, &["--after", &after.to_string(), "--to", &to.to_string()]]).await;
            assert_eq!(found, all(after + 1, to), "{whose:?}: after {after} to {to}");
        }
        let march = ["--from", "2031-03-01T00:00:00Z", "--until", "2031-04-01T00:00:00Z"];
        assert_eq!(export(&[whose, &march]).await, all(17, 24));
        assert_eq!(export(&[whose, &march, &["--after", "20"]]).await, all(21, 24));
        assert_eq!(export(&[whose, &["--until", "2031-01-01T00:00:00Z"]]).await, all(1, 0));
        let exact = log.read(10, 1).await.unwrap()[0].recorded_at.to_string();
        assert_eq!(export(&[whose, &["--from", &exact]]).await, all(11, 48), "that moment included");
        assert_eq!(export(&[whose, &["--until", &exact]]).await, all(1, 10), "that moment excluded");
    }
}

#[tokio::test]
async fn events_of_one_moment_are_told_apart_by_position() {
    let db = TestDb::new().await;
    let (log, key) = (log_of(&db), room());
    // One batch has one recorded time.
    write(&log, &key, 6).await;
    write(&log, &room_of("other"), 1).await;
    write(&log, &key, 3).await;
    let id = key.room.to_string();
    for (after, to, expected) in [("2", "5", vec![3, 4, 5]), ("5", "9", vec![6, 8, 9]), ("0", "7", (1..=6).collect())] {
        let ended = export(&db, &["--tenant", "acme", "--room", &id, "--after", after, "--to", to]).run().await;
        assert_eq!(positions(&ended.stdout), expected, "after {after} to {to}");
    }
}

#[tokio::test]
async fn the_ending_of_the_name_says_how_a_file_is_packed() {
    let (db, folder) = (TestDb::new().await, folder());
    let log = log_of(&db);
    write(&log, &room(), 1_500).await;
    let plain = export(&db, &[]).run().await.stdout;
    assert_eq!(positions(&plain), (1..=1_500).collect::<Vec<_>>());
    for (name, first) in [("log", b"{".as_slice()), ("log.gz", b"\x1f\x8b"), ("log.zst", b"\x28\xb5\x2f\xfd")] {
        let file = folder.join(name);
        let path = file.to_str().unwrap();
        let report = export(&db, &["--json", path]).json().await;
        assert!(std::fs::read(&file).unwrap().starts_with(first), "{name}");
        assert_eq!(text(&file), plain);
        let size = std::fs::metadata(&file).unwrap().len();
        assert_eq!((&report["done"], &report["events"]), (&json!(true), &json!(1_500)));
        assert_eq!((&report["through"], &report["file_bytes"]), (&json!(1_500), &json!(size)), "{report}");
        assert_eq!((&report["bytes"], report.get("go_on")), (&json!(plain.len()), None), "{report}");
    }
    assert_eq!(std::fs::read_dir(&*folder).unwrap().count(), 3, "nothing lies beside them");
}

#[tokio::test]
async fn what_cannot_be_done_is_told_with_its_remedy_and_leaves_nothing() {
    let (db, folder) = (TestDb::new().await, folder());
    let log = log_of(&db);
    let file = folder.join("log");
    let path = file.to_str().unwrap();
    let empty = export(&db, &["--tenant", "acme", path]).run().await;
    assert!(empty.status == 1 && empty.stderr.contains("the log is empty"), "{empty:?}");
    write(&log, &room(), 3).await;
    write(&log, &room_of("other"), 1).await;
    let missing = "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11";
    for (args, status, said) in [
        (&["--tenant", "acne"][..], 1, "it has acme, other"),
        (&["--tenant", "acme", "--room", missing], 1, "has no room"),
        (&["--room", missing], 2, "--tenant"),
        (&["--from", "yesterday"], 2, "RFC 3339"),
        (&["--from", "2026-02-01T00:00:00Z", "--until", "2026-01-01T00:00:00Z"], 1, "earlier time goes with --from"),
        (&["--after", "3", "--to", "2"], 1, "lower position goes with --after"),
        (&["--after", "5"], 1, "the log, which is at position 4"),
        (&["--to", "5"], 1, "the log, which is at position 4"),
        (&["--append", "--force"], 2, "cannot be used with"),
    ] {
        let ended = export(&db, args).args([path]).run().await;
        assert_eq!(ended.status, status, "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
    let stream = export(&db, &["--append"]).run().await;
    assert!(stream.status == 1 && stream.stderr.contains("--append needs a file"), "{stream:?}");
    let nowhere = export(&db, &[folder.join("none/log").to_str().unwrap()]).run().await;
    assert!(nowhere.status == 1 && nowhere.stderr.contains("log.part cannot be written"), "{nowhere:?}");
    let full = export(&db, &["/dev/full"]).run().await;
    assert!(full.status == 1 && full.stderr.contains("No space left"), "{full:?}");
    assert_eq!(std::fs::read_dir(&*folder).unwrap().count(), 0);
}
