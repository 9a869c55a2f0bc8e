//! Lines judged: applied or counted, whatever they are packed in.

use std::io::Write as _;

use convoke::events::log::EventLog;
use convoke::events::log::verify::VerifyResult;
use serde_json::json;
use sqlx::Executor as _;

use super::{SAMPLE, content, import, refused};
use crate::harness::{Run, TestDb, folder};

#[tokio::test]
async fn a_history_lies_in_its_partitions_in_the_order_of_its_lines_and_verifies() {
    let (db, folder) = (TestDb::new().await, folder());
    let file = folder.join("sample.ndjson");
    std::fs::write(&file, SAMPLE).unwrap();
    let report = import(&db, &file).args(["--recorded-as-occurred"]).json().await;
    assert_eq!(report["done"], true);
    assert_eq!(report["lines"], SAMPLE.lines().count());
    assert_eq!(refused(&report), [("not-present", 43), ("room-ended", 2)], "{report}");
    let log = EventLog::new(db.system.clone());
    let events = log.read(0, 1_000).await.unwrap();
    assert_eq!(report["events"], events.len());
    assert!(events.is_sorted_by_key(|event| event.happened_at()), "the order of the lines is that of the log");
    assert!(events.iter().all(|event| event.occurred_at.is_none()), "they were recorded when they occurred");
    assert_eq!(events[0].recorded_at.to_string(), "2012-01-01T06:49:00.000000Z");
    let partition: String =
        sqlx::query_scalar("SELECT name FROM convoke.log_partitions WHERE first_position IS NOT NULL")
            .fetch_one(&db.system)
            .await
            .unwrap();
    assert_eq!(partition, "log_20120101");
    let verdict = log.verify(|_, _| true).await.unwrap();
    assert!(matches!(verdict, VerifyResult::Whole { rooms: 5, .. }), "{verdict:?}");
}

#[tokio::test]
async fn plain_gzip_and_zstd_are_one_history_and_a_second_import_does_nothing() {
    let (db, folder) = (TestDb::new().await, folder());
    let (plain, gzip, zstd) = (folder.join("plain"), folder.join("gzip"), folder.join("zstd"));
    std::fs::write(&plain, SAMPLE).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(SAMPLE.as_bytes()).unwrap();
    std::fs::write(&gzip, packed.finish().unwrap()).unwrap();
    std::fs::write(&zstd, zstd::encode_all(SAMPLE.as_bytes(), 3).unwrap()).unwrap();

    let first = import(&db, &zstd).json().await;
    let written = content(&db).await;
    assert_eq!(first["events"], written.0);
    for file in [&zstd, &gzip, &plain] {
        let again = import(&db, file).json().await;
        assert_eq!((&again["refused"], &again["applied"]), (&first["refused"], &first["applied"]));
        assert_eq!(again["this_run"]["lines"], 0);
    }
    assert_eq!(content(&db).await, written);

    let (other, run) = (TestDb::new().await, |file| import(&db, file));
    let elsewhere = run(&gzip).with("DATABASE_URL", &other.url).json().await;
    assert_eq!(elsewhere["refused"], first["refused"]);
    let columns = "md5(string_agg(concat_ws('|', room, room_version, event_type, command_id, occurred_at, data), ','
        ORDER BY position))";
    let digest = |db: &TestDb| {
        let (pool, statement) = (db.system.clone(), format!("SELECT {columns} FROM convoke.log"));
        async move { sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(statement)).fetch_one(&pool).await.unwrap() }
    };
    assert_eq!(digest(&db).await, digest(&other).await, "rooms, sessions and events are named alike");
}

#[tokio::test]
async fn a_broken_line_is_counted_with_its_reason_and_stops_nothing() {
    let (db, folder) = (TestDb::new().await, folder());
    let line = |more: &str| format!("{{\"occurred_at\":\"2012-01-01T00:00:00Z\",\"room\":\"a\",{more}}}");
    let lines = [
        line("\"command\":\"create-room\""),
        "nonsense".into(),
        String::new(),
        line("\"command\":\"fly\""),
        line("\"command\":\"join\",\"data\":{\"identity\":\"\"}"),
        line("\"command\":\"join\",\"data\":{\"identity\":\"ann\",\"display_name\":\"a\\u0000b\"}"),
        line("\"command\":\"join\",\"data\":{\"identity\":\"ann\"}"),
        format!("{{\"room\":\"{}\"}}", "x".repeat(2 * 1024 * 1024)),
        line("\"command\":\"lock-room\""),
        line("\"command\":\"lock-room\""),
        line("\"command\":\"lock-room\"").replace("2012", "9999"),
        line("\"command\":\"leave\",\"data\":{\"identity\":\"bob\"}"),
        "\u{fffd}".repeat(3),
        line("\"command\":\"unlock-room\",\"idempotency_key\":\"once\""),
        line("\"command\":\"unlock-room\",\"idempotency_key\":\"once\""),
        line("\"command\":\"lock-room\",\"idempotency_key\":\"once\""),
    ];
    let file = folder.join("lines");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let report = import(&db, &file).args(["--allow-refused", "9"]).json().await;
    assert_eq!(
        refused(&report),
        [
            ("idempotency-key-reused", 1),
            ("invalid-fields", 2),
            ("invalid-json", 2),
            ("line-too-long", 1),
            ("not-present", 1),
            ("occurred-in-future", 1),
            ("unknown-command", 1),
        ],
        "{report}"
    );
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!([count("applied"), count("unchanged"), count("repeated"), count("blank")], [4, 1, 1, 1]);
    assert_eq!(count("lines"), 16);
    assert_eq!(report["refused"]["invalid-json"]["first_line"], 2);
    assert_eq!(report["refused"]["not-present"]["detail"], "\"…\" is not in the room");
    assert_eq!(count("events"), 4);
}

/// Two stays of one id would be one row of the sessions, and no rebuild could get past them.
#[tokio::test]
async fn a_command_id_names_one_command_of_its_room_for_ever() {
    let (db, folder) = (TestDb::new().await, folder());
    let id = |number: u32| format!("01936d2e-7c1a-7b3e-8a44-0000{number:08x}");
    let line = |room: &str, command: &str, identity: &str, id: &str| {
        let (at, data) = ("2012-01-01T00:00:00Z", json!({ "identity": identity }));
        let mut line = json!({ "occurred_at": at, "room": room, "command": command, "data": data });
        if !id.is_empty() {
            line["command_id"] = id.into();
        }
        format!("{line}\n")
    };
    let rooms: String =
        ["a", "b"].map(|room| line(room, "create-room", "", "").replace("{\"identity\":\"\"}", "{}")).concat();
    let first = [
        rooms,
        line("a", "join", "ann", &id(1)),
        line("a", "leave", "ann", ""),
        line("a", "join", "ann", &id(1)),
        line("a", "join", "bob", &id(2)),
        line("b", "join", "bob", &id(2)),
        line("a", "leave", "nobody", &id(3)),
        line("a", "raise-hand", "bob", ""),
        line("a", "raise-hand", "bob", &id(4)),
    ];
    let second =
        [line("a", "join", "carol", &id(1)), line("a", "join", "carol", &id(3)), line("a", "join", "dave", &id(4))];
    let file = folder.join("lines");
    std::fs::write(&file, first.concat()).unwrap();
    let report = import(&db, &file).json().await;
    assert_eq!(refused(&report), [("command-id-reused", 1), ("not-present", 1)], "{report}");
    assert_eq!(report["refused"]["command-id-reused"]["first_line"], 5);
    // What created nothing needs its id no longer.
    std::fs::write(&file, second.concat()).unwrap();
    let report = import(&db, &file).json().await;
    assert_eq!((refused(&report), &report["applied"]), (vec![("command-id-reused", 1)], &json!(2)), "{report}");
    let folded = Run::on(&db).args(["projection", "rebuild", "sessions"]).run().await;
    assert_eq!(folded.status, 0, "{folded:?}");
    let stays: i64 =
        sqlx::query_scalar("SELECT count(*) FROM convoke.rm_sessions").fetch_one(&db.system).await.unwrap();
    assert_eq!(stays, 5);
}

#[tokio::test]
async fn a_name_goes_from_room_to_room_in_the_order_of_the_lines() {
    let (db, folder) = (TestDb::new().await, folder());
    let mut lines = String::new();
    for room in 0..30 {
        for (command, data) in [("create-room", "{\"name\":\"standup\"}"), ("end-room", "{}")] {
            // The last two meet while the one is open.
            if room == 28 && command == "end-room" {
                continue;
            }
            lines.push_str(&format!(
                "{{\"occurred_at\":\"2012-01-01T00:00:{room:02}Z\",\"room\":\"r{room}\",\"command\":\"{command}\",\"data\":{data}}}\n"
            ));
        }
    }
    let file = folder.join("lines");
    std::fs::write(&file, lines).unwrap();
    let report = import(&db, &file).json().await;
    assert_eq!(refused(&report), [("room-name-taken", 1), ("room-not-found", 1)], "{report}");
    assert_eq!(report["applied"], 57);
}

#[tokio::test]
async fn what_became_of_the_last_lines_is_kept_though_nothing_is_written_of_them() {
    let (db, folder) = (TestDb::new().await, folder());
    let create = r#"{"occurred_at":"2012-01-01T00:00:00Z","room":"a","command":"create-room"}"#;
    let lock = r#"{"occurred_at":"2012-01-01T00:00:00Z","room":"a","command":"lock-room","idempotency_key":"once"}"#;
    let (first, again) = (folder.join("first"), folder.join("again"));
    std::fs::write(&first, format!("{create}\n{lock}")).unwrap();
    std::fs::write(&again, format!("{lock}\n\n")).unwrap();
    import(&db, &first).json().await;
    for this_run in [2, 0] {
        let report = import(&db, &again).json().await;
        assert_eq!((&report["repeated"], &report["lines"]), (&1.into(), &2.into()), "{report}");
        assert_eq!(report["this_run"]["lines"], this_run);
    }
    assert_eq!(content(&db).await.0, 2);
}

#[tokio::test]
async fn messages_of_the_same_source_are_answered_and_edited() {
    let (db, folder) = (TestDb::new().await, folder());
    let line = |command: &str, data: &str| {
        format!(
            "{{\"occurred_at\":\"2012-01-01T00:00:00Z\",\"room\":\"a\",\"actor\":\"user:ann\",\"command\":\"{command}\",\"data\":{data}}}\n"
        )
    };
    let lines = [
        line("create-room", "{}"),
        line("join", "{}"),
        line("send-message", "{\"text\":\"one\"}"),
        line("send-message", "{\"text\":\"two\",\"reply_to\":3}"),
        line("edit-message", "{\"message\":3,\"text\":\"One\"}"),
        line("send-message", "{\"text\":\"two\",\"reply_to\":2}"),
    ];
    let file = folder.join("lines");
    std::fs::write(&file, lines.concat()).unwrap();
    // All in one batch, then each in its own.
    for batch in ["512", "1"] {
        db.owner.execute("DELETE FROM convoke.intake_progress").await.unwrap();
        std::fs::write(&file, lines.concat().replace("\"a\"", &format!("\"room {batch}\""))).unwrap();
        let report = import(&db, &file).with("CONVOKE_LOG_APPEND_BATCH", batch).json().await;
        assert_eq!(refused(&report), [("message-not-found", 1)], "{report}");
        assert_eq!(report["applied"], 5);
    }
}

#[tokio::test]
async fn times_are_kept_only_where_the_log_holds_nothing_else() {
    let (db, folder) = (TestDb::new().await, folder());
    let file = folder.join("sample.ndjson");
    std::fs::write(&file, SAMPLE).unwrap();
    let first = import(&db, &file).run().await;
    assert_eq!(first.status, 0, "{first:?}");
    let written = content(&db).await;
    let same = import(&db, &file).args(["--recorded-as-occurred"]).run().await;
    assert!(same.stderr.contains("begun with the present as recorded time"), "{same:?}");
    let other = import(&db, &file).args(["--recorded-as-occurred", "--name", "other"]).run().await;
    assert!(other.stderr.contains("only while the log holds nothing else"), "{other:?}");
    assert_eq!((same.status, other.status), (1, 1));
    assert_eq!(content(&db).await, written);
}

#[tokio::test]
async fn what_cannot_be_read_is_said_before_anything_is_taken() {
    let (db, folder) = (TestDb::new().await, folder());
    let cut = folder.join("cut.zst");
    let packed = zstd::encode_all(SAMPLE.as_bytes(), 3).unwrap();
    std::fs::write(&cut, &packed[..packed.len() / 2]).unwrap();
    for (file, said) in [("cut.zst", "cut.zst"), ("missing", "No such file"), (".", "Is a directory")] {
        let ended = import(&db, &folder.join(file)).run().await;
        assert_eq!(ended.status, 1, "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
    let stream = Run::on(&db).args(["import", "--tenant", "acme", "-"]).run().await;
    assert!(stream.stderr.contains("--name"), "{stream:?}");
    assert_eq!(content(&db).await.0, 0);
}
