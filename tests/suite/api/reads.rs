//! Rooms, people and messages as they are read.

use convoke::security::grants::Grants;
use serde_json::{Value, json};

use super::streams::Reader;
use super::{Answer, Service, claims, operator_token, person, server_token, signed};

/// Reads what a command led to: no older than its position.
async fn after(service: &Service, token: &str, command: &Answer, path: &str) -> Answer {
    let position = command.header("convoke-position");
    let answer = Answer::of(service.get(token, path).header("convoke-at-least", position)).await;
    if answer.status.is_success() {
        let shown: u64 = answer.header("convoke-position").parse().unwrap();
        assert!(shown >= position.parse().unwrap(), "{path}: {shown}");
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_there_once_it_was_created_and_304_while_it_stays() {
    let service = Service::start().await;
    let room = service.room(&json!({ "name": "standup" })).await;
    let path = format!("/v1/rooms/{room}");
    let view = Answer::of(service.get(&server_token(), &path)).await.is(200);
    assert_eq!(
        (&view.body["name"], &view.body["version"], view.header("etag")),
        (&json!("standup"), &json!(1), "\"1\"")
    );
    let same = service.get(&server_token(), &path).header("if-none-match", "\"7\", W/\"1\"");
    let same = Answer::of(same).await.is(304);
    assert_eq!((same.text.as_str(), same.header("etag")), ("", "\"1\""));
    let locked = service.command(&server_token(), &room, "lock-room", &json!({})).await.is(200);
    let changed = after(&service, &server_token(), &locked, &path).await.is(200);
    assert_eq!((&changed.body["locked"], changed.header("etag")), (&json!(true), "\"2\""));
    assert_eq!(changed.header("cache-control"), "private, no-cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_shown_as_it_was() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    service.join(&room, "alice", "host").await;
    let locked = service.command(&server_token(), &room, "lock-room", &json!({})).await.is(200);
    service.command(&server_token(), &room, "end-room", &json!({})).await.is(200);
    let path = format!("/v1/rooms/{room}");
    let at = async |query: &str| Answer::of(service.get(&server_token(), &format!("{path}{query}"))).await;
    for (query, version, locked, people) in
        [("?version=1", 1, false, 0), ("?version=2", 2, false, 1), ("?version=3", 3, true, 1)]
    {
        let view = at(query).await.is(200);
        let shown = (&view.body["version"], &view.body["locked"], &view.body["participant_count"]);
        assert_eq!(shown, (&json!(version), &json!(locked), &json!(people)), "{query}");
        assert_eq!(view.header("etag"), format!("\"{version}\""));
    }
    let then = at(&format!("?at={}", locked.body["recorded_at"].as_str().unwrap())).await.is(200);
    assert_eq!(then.body["version"], 3);
    let people = Answer::of(service.get(&server_token(), &format!("{path}/participants?version=3"))).await.is(200);
    assert_eq!(people.body["participants"][0]["personal"]["display_name"], "The alice");
    let beyond = at("?version=99").await.is(404).problem("no-such-version");
    assert_eq!(beyond.body["room_version"], 5);
    at("?at=2001-01-01T00:00:00Z").await.is(404).problem("no-such-version");
    let position = locked.header("convoke-position");
    at(&format!("?version=3&at_least={position}")).await.is(200);
    let stranger = Grants { room: Some("another".into()), room_join: true, ..Grants::default() };
    for grants in [Grants::default(), stranger] {
        let token = signed(&claims("acme", Some("eve"), grants));
        for query in ["", "?version=1", "?version=99", "?at=2001-01-01T00:00:00Z"] {
            let refused = Answer::of(service.get(&token, &format!("{path}{query}"))).await.is(403).problem("forbidden");
            assert!(refused.body.get("room_version").is_none(), "{query}: {}", refused.text);
        }
    }
    at("?version=1&at=2001-01-01T00:00:00Z").await.is(400);
    at("?version=0").await.is(404);
    at("?version=-1").await.is(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_listed_by_what_is_asked_for() {
    let service = Service::start().await;
    for (name, team) in [("a", "red"), ("b", "blue"), ("c", "red")] {
        let body = json!({ "name": name, "settings": { "labels": { "team": team } } });
        Answer::of(service.post(&server_token(), "/v1/rooms", &body)).await.is(201);
    }
    let last = Answer::of(service.post(&server_token(), "/v1/rooms", &json!({ "name": "d" }))).await.is(201);
    let room = last.body["room"].as_str().unwrap();
    let ended = service.command(&server_token(), room, "end-room", &json!({})).await.is(200);
    let names = async |query: &str| {
        let page = after(&service, &server_token(), &ended, &format!("/v1/rooms{query}")).await.is(200);
        let rooms = page.body["rooms"].as_array().unwrap().iter();
        (
            rooms.map(|room| room["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>(),
            page.body["next_cursor"].clone(),
        )
    };
    assert_eq!(names("").await.0, ["d", "c", "b", "a"]);
    assert_eq!(names("?label=team:red").await.0, ["c", "a"]);
    assert_eq!(names("?status=open&name=b").await.0, ["b"]);
    assert_eq!(names("?status=ended").await.0, ["d"]);
    let (first, cursor) = names("?limit=3").await;
    assert_eq!(first, ["d", "c", "b"]);
    let (rest, end) = names(&format!("?limit=3&cursor={}", cursor.as_str().unwrap())).await;
    assert_eq!((rest, end), (vec!["a".to_owned()], Value::Null));
    let many = format!("?label=team:red{}", "&label=team:red".repeat(32));
    for query in [&many, "?status=closed", "?label=team", "?cursor=nonsense", "?created_after=soon", "?name=%00"] {
        Answer::of(service.get(&server_token(), &format!("/v1/rooms{query}"))).await.is(400);
    }
    Answer::of(service.get(&person("alice"), "/v1/rooms")).await.is(403).problem("forbidden");
    let stranger = signed(&claims("globex", None, Grants::everything()));
    assert_eq!(Answer::of(service.get(&stranger, "/v1/rooms")).await.is(200).body["rooms"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_shown_with_their_names_to_those_who_are_with_them() {
    let service = Service::start().await;
    let room = service.room(&json!({ "settings": { "lobby": "guests" } })).await;
    for (identity, role) in [("alice", "host"), ("bob", "speaker")] {
        service.join(&room, identity, role).await;
    }
    let body = json!({ "display_name": "The eve", "role": "viewer" });
    let waits = service.command(&person("eve"), &room, "join", &body).await.is(200);
    let path = format!("/v1/rooms/{room}/participants");
    let people = after(&service, &person("bob"), &waits, &path).await.is(200);
    let people = people.body["participants"].as_array().unwrap();
    assert_eq!(people.len(), 2);
    assert_eq!(
        (&people[0]["identity"], &people[0]["personal"]["display_name"]),
        (&json!("alice"), &json!("The alice"))
    );
    after(&service, &person("eve"), &waits, &path).await.is(403);
    let lobby = format!("/v1/rooms/{room}/waiting");
    let waiting = after(&service, &person("alice"), &waits, &lobby).await.is(200);
    let waiting = &waiting.body["waiting"][0];
    assert_eq!((&waiting["identity"], &waiting["personal"]["display_name"]), (&json!("eve"), &json!("The eve")));
    after(&service, &person("bob"), &waits, &lobby).await.is(403);
    let lister = signed(&claims("acme", None, Grants { room_list: true, ..Grants::default() }));
    let withheld = after(&service, &lister, &waits, &path).await.is(200);
    assert_eq!(
        (&withheld.body["participants"][0]["withheld"], &withheld.body["participants"][0]["personal"]),
        (&json!(true), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_the_past_are_told_in_pages_too() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for identity in ["carol", "alice", "bob"] {
        service.join(&room, identity, "speaker").await;
    }
    let path = format!("/v1/rooms/{room}/participants");
    for moment in ["version=4", "at_least=4"] {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page =
                Answer::of(service.get(&server_token(), &format!("{path}?{moment}&limit=2{cursor}"))).await.is(200);
            let people = page.body["participants"].as_array().unwrap().iter();
            found.extend(people.map(|person| person["identity"].as_str().unwrap().to_owned()));
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, ["alice", "bob", "carol"], "{moment}");
        assert_ne!(cursor, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_are_told_with_how_they_ended() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for identity in ["alice", "bob", "mallory"] {
        service.join(&room, identity, "speaker").await;
    }
    service.command(&server_token(), &room, "remove", &json!({ "identity": "mallory" })).await.is(200);
    let left = service.command(&person("alice"), &room, "leave", &json!({})).await.is(200);
    let path = format!("/v1/rooms/{room}/sessions");
    let sessions = after(&service, &person("bob"), &left, &path).await.is(200);
    let sessions = sessions.body["sessions"].as_array().unwrap();
    assert_eq!((&sessions[0]["identity"], &sessions[0]["reason"]), (&json!("alice"), &json!("left")));
    assert!(sessions[0]["seconds"].is_u64() && sessions[1].get("left_at").is_none());
    // Once the room has ended, those who were in it may look back; others may not, nor who was put out.
    let ended = service.command(&server_token(), &room, "end-room", &json!({})).await.is(200);
    after(&service, &server_token(), &ended, &path).await.is(200);
    Answer::of(service.get(&person("alice"), &path)).await.is(200);
    Answer::of(service.get(&person("eve"), &path)).await.is(403);
    Answer::of(service.get(&person("mallory"), &path)).await.is(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_in_a_room_may_look_back_at_the_moment_of_its_end() {
    let service = Service::start().await;
    for _ in 0..20 {
        let room = service.room(&json!({})).await;
        service.join(&room, "alice", "speaker").await;
        service.command(&server_token(), &room, "end-room", &json!({})).await.is(200);
        Answer::of(service.get(&person("alice"), &format!("/v1/rooms/{room}/events"))).await.is(200);
        Answer::of(service.get(&person("eve"), &format!("/v1/rooms/{room}/events"))).await.is(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_read_as_the_one_who_reads() {
    let service = Service::start().await;
    let room = service.room(&json!({})).await;
    for (identity, role) in [("alice", "host"), ("bob", "speaker"), ("carol", "speaker")] {
        service.join(&room, identity, role).await;
    }
    let mut last = None;
    for message in [
        json!({ "text": "one" }),
        json!({ "text": "two", "to": { "identities": ["bob"] } }),
        json!({ "text": "three", "to": "staff" }),
    ] {
        last = Some(service.command(&person("alice"), &room, "send-message", &message).await.is(200));
    }
    let last = last.unwrap();
    let path = format!("/v1/rooms/{room}/messages");
    let texts = async |token: &str, query: &str| {
        let page = after(&service, token, &last, &format!("{path}{query}")).await.is(200);
        let messages = page.body["messages"].as_array().unwrap().iter();
        messages.map(|message| message["personal"]["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&server_token(), "").await, ["one", "two", "three"]);
    assert_eq!(texts(&server_token(), "?as=bob").await, ["one", "two"]);
    assert_eq!(texts(&server_token(), "?as=alice&order=newest").await, ["three", "two", "one"]);
    assert_eq!(texts(&person("carol"), "").await, ["one"]);
    assert_eq!(texts(&person("bob"), "?as=bob").await, ["one", "two"]);
    after(&service, &person("carol"), &last, &format!("{path}?as=bob")).await.is(403);
    after(&service, &server_token(), &last, &format!("{path}?order=random")).await.is(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_never_comes_is_waited_for_no_longer_than_that() {
    let service = Service::start_with(|run| run.with("CONVOKE_HTTP_AT_LEAST_TIMEOUT", "200ms")).await;
    service.room(&json!({})).await;
    for path in ["/v1/rooms?at_least=99", "/v1/events?at_least=99"] {
        let answer = Answer::of(service.get(&server_token(), path)).await.is(503).problem("position-not-reached");
        assert_ne!(answer.header("retry-after"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_and_the_read_models_tell_how_far_they_have_come() {
    let service = Service::start().await;
    service.room(&json!({})).await;
    let log = Answer::of(service.get(&operator_token(), "/v1/log")).await.is(200);
    assert_eq!((&log.body["position"], log.header("convoke-position")), (&json!(1), "1"));
    let partitions = log.body["partitions"].as_array().unwrap();
    assert!(partitions.iter().any(|partition| partition["events"] == 1), "{partitions:?}");
    let path = format!("/v1/events?cursor={}", log.body["cursor"].as_str().unwrap());
    assert_eq!(Answer::of(service.get(&server_token(), &path)).await.is(200).body["events"], json!([]));
    crate::harness::eventually("the read models keep up", std::time::Duration::from_secs(20), async || {
        let answer = Answer::of(service.get(&operator_token(), "/v1/projections")).await.is(200);
        let models = answer.body["projections"].as_array().unwrap().clone();
        let names: Vec<_> = models.iter().map(|model| model["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["activity", "messages", "rooms", "sessions", "usage"]);
        models.iter().all(|model| model["lag_events"] == 0 && model["status"] == "running").then_some(())
    })
    .await;
    let lister = signed(&claims("acme", None, Grants { room_list: true, ..Grants::default() }));
    for path in ["/v1/log", "/v1/projections"] {
        for token in [&person("alice"), &lister, &server_token()] {
            let refused = Answer::of(service.get(token, path)).await.is(403).problem("forbidden");
            assert_eq!(refused.body["detail"], "The token lacks the grant operator.");
        }
    }
}

/// Who was put out of a room does not read what came after, in whatever order they left, were put out, and the room ended.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_put_out_of_a_room_does_not_look_back_at_it() {
    let service = Service::start().await;
    let room = service.room(&json!({ "settings": { "duplicate_identity": "allow" } })).await;
    let server =
        async |command: &str, body: Value| service.command(&server_token(), &room, command, &body).await.is(200);
    let own = async |who: &str, command: &str| service.command(&person(who), &room, command, &json!({})).await.is(200);
    let put_out = async |who: &str, command: &str| server(command, json!({ "identity": who })).await;
    for who in [
        "hal",
        "removed",
        "banned",
        "left then banned",
        "two devices",
        "for a moment",
        "unbanned",
        "lost",
        "back",
        "let in",
    ] {
        own(who, "join").await;
    }
    own("two devices", "join").await;
    put_out("removed", "remove").await;
    put_out("banned", "ban").await;
    own("left then banned", "leave").await;
    put_out("left then banned", "ban").await;
    put_out("two devices", "remove").await;
    server("ban", json!({ "identity": "for a moment", "ban_s": 1 })).await;
    own("unbanned", "leave").await;
    put_out("unbanned", "ban").await;
    put_out("unbanned", "unban").await;
    own("lost", "leave").await;
    put_out("back", "remove").await;
    own("back", "join").await;
    put_out("let in", "ban").await;
    put_out("let in", "unban").await;
    own("let in", "join").await;
    own("let in", "leave").await;
    server("ban", json!({ "identity": "never there" })).await;
    service.command(&person("hal"), &room, "send-message", &json!({ "text": "AFTER" })).await.is(200);
    let ended = server("end-room", json!({})).await;
    let at_least = ended.header("convoke-position");

    let paths = [
        "messages",
        "events",
        "timeline",
        "participants",
        "participants?version=20",
        "sessions",
        "attendance",
        "activity",
    ];
    for (who, status) in [
        ("hal", 200),
        ("removed", 403),
        ("banned", 403),
        ("left then banned", 403),
        ("two devices", 403),
        ("for a moment", 403),
        ("unbanned", 403),
        ("never there", 403),
        ("lost", 200),
        ("back", 200),
        ("let in", 200),
    ] {
        for path in paths {
            let read =
                service.get(&person(who), &format!("/v1/rooms/{room}/{path}")).header("convoke-at-least", at_least);
            let answer = Answer::of(read).await;
            assert_eq!(answer.status.as_u16(), status, "{who} reads {path}: {}", answer.text);
            assert!(status == 200 || !answer.text.contains("AFTER"), "{who} reads {path}: {}", answer.text);
        }
        let live = service.get(&person(who), &format!("/v1/rooms/{room}/events?cursor=start"));
        let live = live.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(live.status().as_u16(), status, "{who} reads live");
    }
}

/// A grant takes nothing away that the token would allow without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_may_list_rooms_too_reads_as_a_person_in_their_own() {
    let service = Service::start().await;
    let (own, other) = (service.room(&json!({})).await, service.room(&json!({})).await);
    let grants =
        Grants { room_join: true, room_list: true, role: convoke::events::room::Role::Host, ..Grants::default() };
    let joan = signed(&claims("acme", Some("joan"), grants));
    service.command(&joan, &own, "join", &json!({})).await.is(200);
    for room in [&own, &other] {
        service.join(room, "alice", "host").await;
        service.command(&person("alice"), room, "send-message", &json!({ "text": "for all" })).await.is(200);
    }
    let direct = json!({ "text": "for joan", "to": { "identities": ["joan"] } });
    service.command(&person("alice"), &own, "send-message", &direct).await.is(200);
    let last = service
        .command(&person("alice"), &own, "send-message", &json!({ "text": "staff", "to": "staff" }))
        .await
        .is(200);
    let messages = async |token: &str, room: &str, last: &Answer| {
        let page = after(&service, token, last, &format!("/v1/rooms/{room}/messages")).await.is(200);
        let texts = page.body["messages"].as_array().unwrap().clone().into_iter();
        texts.map(|message| message["personal"]["text"].as_str().unwrap_or("withheld").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(messages(&joan, &own, &last).await, ["for all", "for joan", "staff"]);
    assert_eq!(messages(&joan, &other, &last).await, ["withheld"], "as room_list alone reads it");
    let own_path = format!("/v1/rooms/{own}");
    assert!(after(&service, &joan, &last, &format!("{own_path}/events")).await.is(200).text.contains("for joan"));
    after(&service, &joan, &last, &format!("{own_path}/waiting")).await.is(200);
    Answer::of(service.get(&joan, "/v1/rooms")).await.is(200);

    // A live stream goes on when she leaves, as one of somebody who lists rooms.
    let mut live = Reader::open(&service, &joan, &format!("{own_path}/events?cursor=start"), None).await;
    let left = service.command(&joan, &own, "leave", &json!({})).await.is(200);
    service.command(&person("alice"), &own, "send-message", &json!({ "text": "later" })).await.is(200);
    let (mut shown, mut withheld) = (Vec::new(), Vec::new());
    loop {
        let event = live.event().await.expect("the stream goes on");
        match event.data["personal"]["text"].as_str() {
            Some(text) => shown.push(text.to_owned()),
            None if event.event == "room.message-sent" => withheld.push(event.data["withheld"].clone()),
            None => {}
        }
        if !withheld.is_empty() {
            break;
        }
    }
    assert_eq!(
        (shown.as_slice(), withheld.as_slice()),
        (&["for all", "for joan", "staff"].map(String::from)[..], &[json!(true)][..])
    );
    assert_eq!(messages(&joan, &own, &left).await[0], "withheld", "no longer a person in the room");
}
