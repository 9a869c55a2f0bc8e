//! What is archived reads as before: every read is asked before and after, of a process that knows and of one that was not told.

use convoke::events::envelope::Envelope;
use convoke::events::log::EventLog;
use convoke::events::log::verify::VerifyResult;
use convoke::projections::MODELS;
use convoke::projections::rebuild::{Rebuild, RebuildPurpose};
use convoke::security::grants::Grants;
use tokio_util::sync::CancellationToken;

use super::{OLD, Past, archive, at, attached, past};
use crate::harness::{folder, tokens};
use crate::projections::live::{Workers, checkpoint_of};
use crate::projections::story::tenant;

/// Everything that the log answers, as text.
async fn everything(past: &Past, log: &EventLog) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |what: String, events: Vec<Envelope>| {
        told.extend(events.iter().map(|event| format!("{what}: {event:?}")));
    };
    let head = log.head().await.unwrap().position;
    for after in (0..head).step_by(97) {
        tell(format!("after {after}"), log.read(after, 211).await.unwrap());
    }
    for (key, (_, version)) in &past.story.rooms {
        for after in (0..*version).step_by(7) {
            tell(format!("{} after {after}", key.room), log.read_room(key, after, None, 5).await.unwrap());
        }
        tell("as tenant".into(), log.read_room_as_tenant(key, 0, 1_000).await.unwrap());
        assert!(log.read_room(key, *version, None, 10).await.unwrap().is_empty());
    }
    for name in ["acme", "other"] {
        let mut after = 0;
        while after < head {
            let page = log.read_tenant(&tenant(name), after, 37).await.unwrap();
            assert!(page.through > after, "a page goes on");
            // Where a page ends is no promise; what comes in which order is.
            tell(format!("tenant {name}"), page.events);
            after = page.through;
        }
    }
    let hashes = log.hashes_after(0, 100_000).await.unwrap();
    assert_eq!(hashes.len() as u64, head);
    let asked: Vec<_> = (1..=head + 3).step_by(11).collect();
    let found = log.hashes(&asked).await.unwrap();
    assert!(hashes.iter().filter(|(at, _)| asked.contains(at)).all(|(at, hash)| found.get(at) == Some(hash)));
    told.push(format!("{hashes:?}"));
    told.push(format!("{:?}", log.changes(0, 100_000).await.unwrap()));
    for day in ["2023-12-31", "2024-01-03", "2024-01-10", "2024-02-17", "2024-03-30", "2024-05-01", "2100-01-01"] {
        for time in ["T00:00:00Z", "T10:00:00Z", "T10:00:00.000001Z"] {
            let at = at(&format!("{day}{time}"));
            told.push(format!("before {at}: {}", log.position_before(at).await.unwrap()));
            for key in past.story.rooms.keys() {
                told.push(format!("{} at {at}: {}", key.room, log.version_at(key, at).await.unwrap()));
            }
        }
    }
    told.sort();
    told.dedup();
    told
}

fn same(before: &[String], after: &[String]) {
    assert!(before.len() > 1_000, "{} answers are no test", before.len());
    for (before, after) in before.iter().zip(after) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_of_the_log_answers_as_before() {
    let past = past(31, 4, 300).await;
    past.fold().await;
    let told_nothing = past.log();
    let before = everything(&past, &told_nothing).await;
    let report = past.archive(OLD).await;
    let moved: Vec<_> = report["moved"].as_array().unwrap().iter().map(|one| one["partition"].clone()).collect();
    assert_eq!(moved, ["log_20240101", "log_20240201", "log_20240301", "log_20240401"]);
    let left = attached(&past.db).await;
    assert!(left.iter().all(|name| name.as_str() > "log_20250101"), "what never held an event went too: {left:?}");
    same(&before, &everything(&past, &told_nothing).await);
    same(&before, &everything(&past, &past.log()).await);
    let verdict = past.log().verify(|_, _| true).await.unwrap();
    let events = past.log().head().await.unwrap().position;
    assert_eq!(verdict, VerifyResult::Whole { events, rooms: past.story.rooms.len() as u64 });
    for key in past.story.rooms.keys().take(3) {
        assert!(matches!(past.log().verify_room(key, |_, _| true).await.unwrap(), VerifyResult::Whole { .. }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_from_the_first_position_gives_the_same_rows_through_archives() {
    let past = past(32, 3, 400).await;
    past.fold().await;
    past.archive(OLD).await;
    for purpose in [RebuildPurpose::Verify, RebuildPurpose::Rebuild] {
        for report in Rebuild::new(past.log(), 100).run(MODELS, purpose, &CancellationToken::new()).await.unwrap() {
            assert!(report.comparison.is_equal(), "{report:?}");
            assert_eq!(report.digest, checkpoint_of(&past.db, report.name).await.digest);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_go_on_in_a_room_whose_beginning_is_archived() {
    let mut past = past(33, 2, 300).await;
    past.fold().await;
    past.archive(OLD).await;
    let log = past.log();
    // Another month passes, and goes too.
    past.story.go_on(200).write(&log).await;
    let workers = Workers::on(log.clone());
    workers.reach(past.story.history.len() as u64).await;
    workers.stop().await;
    let told: Vec<_> = log.read(0, 100_000).await.unwrap().iter().map(|event| event.event().unwrap()).collect();
    let expected: Vec<_> = past.story.history.iter().map(|told| told.event.clone()).collect();
    assert_eq!(format!("{told:?}"), format!("{expected:?}"));
    assert!(matches!(log.verify(|_, _| true).await.unwrap(), VerifyResult::Whole { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_of_an_archive_is_read_over_http_at_a_version_and_at_a_time_and_its_old_cursors_go_on() {
    let past = past(34, 3, 300).await;
    past.fold().await;
    let mut server = tokens::accepted_by(past.run()).with("CONVOKE_ROLES", "api,projector").serve().await;
    let key = past
        .story
        .rooms
        .iter()
        .filter(|(key, _)| key.tenant == tenant("acme"))
        .max_by_key(|(_, (_, version))| *version);
    let (key, (_, version)) = key.unwrap();
    let token = tokens::of("acme", None, Grants::everything());
    let (client, url) = (server.client.clone(), server.url.clone());
    let ask = async |path: String| {
        let answer = client.get(format!("{url}{path}")).bearer_auth(&token).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let mut paths = vec![
        format!("/v1/rooms/{}/events?limit=1000", key.room),
        format!("/v1/rooms/{}?at=2024-02-20T00:00:00Z", key.room),
        "/v1/events?limit=500".into(),
        format!("/v1/rooms/{}/timeline?limit=100", key.room),
    ];
    paths.extend((1..=*version).step_by(5).map(|version| format!("/v1/rooms/{}?version={version}", key.room)));
    let mut before = Vec::new();
    for path in &paths {
        before.push(ask(path.clone()).await);
    }
    assert!(before.iter().all(|(status, _)| *status == 200), "{before:?}");
    past.archive(OLD).await;
    for (path, before) in paths.iter().zip(&before) {
        assert_eq!(&ask(path.clone()).await, before, "{path}");
    }
    assert!(server.terminate().await.success(), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_does_not_know_where_archives_are_says_what_it_lacks() {
    let past = past(35, 1, 100).await;
    past.fold().await;
    past.archive(OLD).await;
    let blind = EventLog::new(past.db.system.clone());
    let error = blind.read(0, 10).await.unwrap_err().to_string();
    assert!(error.contains("log_20240101") && error.contains("CONVOKE_ARCHIVE_URL"), "{error}");
    let elsewhere = folder();
    let lost = EventLog::new(past.db.system.clone()).with_archive(Some(archive(&elsewhere)));
    let error = lost.read(0, 10).await.unwrap_err().to_string();
    assert!(error.contains("log_20240101") && error.contains("is not there"), "{error}");
}
