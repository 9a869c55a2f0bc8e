//! Reads ask the database as often for much as for little.

use std::time::Duration;

use serde_json::json;

use super::{Answer, KID, SECRET, Service, operator_token, person, server_token};
use crate::harness::{Counted, Run, Server, eventually};

/// More of everything than there are statements in any request.
const MANY: usize = 60;

/// A page of events is looked for in at most eight ranges of the log, each read in a transaction of its own.
const STRETCHES: u64 = 8;

/// What the process asks by itself meanwhile, on connections that it may have to make and to prepare for it: where the log ends, and
/// whether it is the one that the cache follows.
const BY_ITSELF: u64 = 8;

/// A room full of people, some of whom said something, some of which was changed, and all of which was taken back in the end.
struct BusyRoom {
    id: String,
    /// Where the log ends.
    position: u64,
    /// Behind everything that was said, before it was taken back.
    cursor: String,
}

async fn busy_room(service: &Service) -> BusyRoom {
    let room = service.room(&json!({ "settings": { "labels": { "team": "red" }, "lobby": "off" } })).await;
    service.join(&room, "host", "host").await;
    let mut last = None;
    let mut said = Vec::new();
    for number in 0..MANY {
        let who = format!("p{number:03}");
        service.join(&room, &who, "speaker").await;
        let text =
            json!({ "text": format!("hello {number}"), "to": if number % 2 == 0 { "everyone" } else { "staff" } });
        let sent = service.command(&person(&who), &room, "send-message", &text).await.is(200);
        let version = sent.body["room_version"].as_u64().unwrap();
        said.push(version);
        if number % 3 == 0 {
            let edit = json!({ "message": version, "text": "changed" });
            service.command(&person(&who), &room, "edit-message", &edit).await.is(200);
        }
        last =
            Some(service.command(&person(&who), &room, "publish-track", &json!({ "source": "camera" })).await.is(200));
    }
    for number in 0..MANY {
        let body =
            json!({ "if_exists": "return", "settings": { "labels": { "team": "red", "n": number.to_string() } } });
        last = Some(Answer::of(service.post(&server_token(), "/v1/rooms", &body)).await);
    }
    let page = Answer::of(service.get(&server_token(), &format!("/v1/rooms/{room}/events?limit=1000"))).await.is(200);
    let cursor = page.body["next_cursor"].as_str().unwrap().to_owned();
    for message in said {
        let deletion = json!({ "message": message });
        service.command(&person("host"), &room, "delete-message", &deletion).await.is(200);
    }
    last.unwrap().is(201);
    let head = Answer::of(service.get(&operator_token(), "/v1/log")).await.is(200);
    BusyRoom { id: room, position: head.body["position"].as_u64().unwrap(), cursor }
}

fn paths(room: &BusyRoom) -> Vec<String> {
    [
        "/v1/rooms?",
        "/v1/rooms?label=team:red&",
        "/v1/usage?",
        "/v1/events?",
        "/v1/rooms/ROOM/participants?",
        "/v1/rooms/ROOM/participants?version=50&",
        "/v1/rooms/ROOM/waiting?",
        "/v1/rooms/ROOM/sessions?",
        "/v1/rooms/ROOM/attendance?",
        "/v1/rooms/ROOM/messages?",
        "/v1/rooms/ROOM/messages?order=newest&",
        "/v1/rooms/ROOM/activity?",
        "/v1/rooms/ROOM/events?",
        "/v1/rooms/ROOM/timeline?",
        "/v1/rooms/ROOM/events?cursor=CURSOR&",
    ]
    .map(|path| path.replace("ROOM", &room.id).replace("CURSOR", &room.cursor))
    .into()
}

/// A process that has read nothing yet and does nothing but answer.
pub async fn reader_of(service: &Service, counted: &Counted) -> Server {
    let run = Run::on(&service.db).with("DATABASE_URL", &counted.url);
    run.with("CONVOKE_SIGNING_KEYS", &format!("{KID}:{SECRET}")).with("CONVOKE_ROLES", "api").serve().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_takes_as_many_statements_as_a_short_one() {
    let service = Service::start().await;
    let room = busy_room(&service).await;
    eventually("the read models keep up", Duration::from_secs(30), async || {
        let answer = Answer::of(service.get(&operator_token(), "/v1/projections")).await.is(200);
        let models = answer.body["projections"].as_array().unwrap().clone();
        models.iter().all(|model| model["position"].as_u64().unwrap() >= room.position).then_some(())
    })
    .await;
    let mut asked = Vec::new();
    for limit in [1, 1_000] {
        let counted = Counted::to(&service.db).await;
        let mut server = reader_of(&service, &counted).await;
        let mut of_paths = Vec::new();
        for path in paths(&room) {
            for token in [server_token(), person("p001")] {
                let before = counted.statements();
                let request = server.client.get(format!("{}{path}limit={limit}", server.url)).bearer_auth(&token);
                let answer = Answer::of(request).await;
                let statements = counted.statements() - before;
                let sort = (path.clone(), answer.status.as_u16());
                of_paths.push((sort, statements, answer.text.len()));
            }
        }
        asked.push(of_paths);
        server.terminate().await;
    }
    let mut longer = 0;
    for ((sort, few, short), (same, many, long)) in asked[0].iter().zip(&asked[1]) {
        assert_eq!(sort, same);
        // One more: the keys of those whom a page before did not speak of, or a look at what is known for a second only.
        let more = if sort.0.contains("/events") || sort.0.contains("/timeline") { STRETCHES } else { 1 };
        assert!(
            *many <= few + more + BY_ITSELF && *many < 20,
            "{sort:?}: {few} statements for one item, {many} for all"
        );
        longer += usize::from(*long > 20 * short);
    }
    assert!(longer >= 12, "the answers are long: {asked:?}");
}
