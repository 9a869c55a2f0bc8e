//! A room told to people.

use convoke::security::grants::Grants;
use serde_json::json;

use super::{Answer, Service, claims, person, server_token, signed};

async fn lines(service: &Service, token: &str, room: &str) -> Vec<String> {
    let path = format!("/v1/rooms/{room}/timeline?limit=1000");
    let page = Answer::of(service.get(token, &path)).await.is(200);
    assert_eq!(page.body["has_more"], false);
    let lines = page.body["lines"].as_array().unwrap().iter();
    lines.map(|line| line["text"].as_str().unwrap().to_owned()).collect()
}

/// A room in which a few things happened; its id.
async fn room_with_events(service: &Service) -> String {
    let room = service.room(&json!({ "name": "standup" })).await;
    service.join(&room, "alice", "host").await;
    service.join(&room, "bob", "speaker").await;
    for (who, command, body) in [
        ("bob", "publish-track", json!({ "source": "screen" })),
        ("bob", "send-message", json!({ "text": "hello\nall" })),
        ("alice", "send-message", json!({ "text": "psst", "to": { "identities": ["bob"] } })),
        ("bob", "rename", json!({ "display_name": "Robert" })),
        ("bob", "raise-hand", json!({})),
        ("alice", "lower-hand", json!({ "identity": "bob" })),
        ("alice", "change-role", json!({ "identity": "bob", "role": "viewer" })),
        ("alice", "lock-room", json!({})),
    ] {
        service.command(&person(who), &room, command, &body).await.is(200);
    }
    room
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_told_in_sentences_with_names() {
    let service = Service::start().await;
    let room = room_with_events(&service).await;
    let all = lines(&service, &server_token(), &room).await;
    let expected = [
        "A server created the room \u{201c}standup\u{201d}",
        "The alice joined as host",
        "The bob joined as speaker",
        "The bob began to share the screen",
        "The bob wrote: \u{201c}hello all\u{201d}",
        "The alice wrote to The bob: \u{201c}psst\u{201d}",
        "The bob is now called Robert",
        "Robert raised a hand",
        "The alice lowered the hand of Robert",
        "The alice made Robert viewer",
        "Robert stopped sharing the screen, as the new role does not allow it",
        "The alice locked the room",
    ];
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    // The end of the share and the change of the role are one command's, in an order of its own.
    assert_eq!(sorted(&all), sorted(&expected.map(str::to_owned)), "{all:#?}");
    assert_eq!(lines(&service, &person("bob"), &room).await, all);

    // Page by page it is the same: names and tracks are known from before the page.
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/rooms/{room}/timeline?limit=1{cursor}");
        let page = Answer::of(service.get(&server_token(), &path)).await.is(200);
        let lines = page.body["lines"].as_array().unwrap().iter();
        paged.extend(lines.map(|line| line["text"].as_str().unwrap().to_owned()));
        cursor = format!("&cursor={}", page.body["next_cursor"].as_str().unwrap());
        if page.body["has_more"] == false {
            break;
        }
    }
    assert_eq!(paged, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_are_told_what_they_may_know_and_who_was_forgotten_is_somebody() {
    let service = Service::start().await;
    let room = room_with_events(&service).await;
    service.command(&person("alice"), &room, "unlock-room", &json!({})).await.is(200);
    service.join(&room, "carol", "speaker").await;
    let carols = lines(&service, &person("carol"), &room).await;
    assert!(!carols.iter().any(|line| line.contains("psst")), "{carols:?}");
    let lister = signed(&claims("acme", None, Grants { room_list: true, ..Grants::default() }));
    let withheld = lines(&service, &lister, &room).await;
    assert!(withheld.contains(&"alice joined as host".to_owned()), "{withheld:?}");
    assert!(withheld.contains(&"bob wrote: (withheld)".to_owned()), "{withheld:?}");
    Answer::of(service.get(&person("eve"), &format!("/v1/rooms/{room}/timeline"))).await.is(403);
    let stranger = signed(&claims("globex", None, Grants::everything()));
    Answer::of(service.get(&stranger, &format!("/v1/rooms/{room}/timeline"))).await.is(404);

    let erase = ["erase", "--tenant", "acme", "--identity", "bob", "--yes"];
    let erased = service.run.clone().args(erase).run().await;
    assert_eq!(erased.status, 0, "{erased:?}");
    crate::harness::eventually("the key is gone everywhere", std::time::Duration::from_secs(20), async || {
        let all = lines(&service, &server_token(), &room).await;
        all.contains(&"somebody (erased) joined as speaker".to_owned()).then_some(())
    })
    .await;
    let all = lines(&service, &server_token(), &room).await;
    assert!(all.contains(&"somebody (erased) wrote: (erased)".to_owned()), "{all:?}");
    assert!(all.contains(&"The alice wrote to somebody (erased): \u{201c}psst\u{201d}".to_owned()), "{all:?}");
    assert!(!all.iter().any(|line| line.contains("Robert") || line.contains("hello")), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_text_it_is_a_line_each_with_a_link_to_the_next_page() {
    let service = Service::start().await;
    let room = room_with_events(&service).await;
    let mut text = String::new();
    let mut path = format!("/v1/rooms/{room}/timeline?limit=5");
    loop {
        let page = Answer::of(service.get(&server_token(), &path).header("accept", "text/plain")).await.is(200);
        assert_eq!(page.header("content-type"), "text/plain; charset=utf-8");
        text.push_str(&page.text);
        let Some(next) = page.header("link").strip_prefix('<').and_then(|link| link.split_once(">; rel=\"next\""))
        else {
            break;
        };
        path = next.0.to_owned();
    }
    let told: Vec<_> = text.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(told, lines(&service, &server_token(), &room).await);
    assert!(text.lines().all(|line| line.as_bytes()[4] == b'-' && line.as_bytes()[13] == b':'), "{text}");
    let asked = async |query: &str, accept: &str| {
        Answer::of(service.get(&server_token(), &format!("/v1/rooms/{room}/timeline{query}")).header("accept", accept))
            .await
    };
    asked("", "image/png").await.is(406).problem("not-acceptable");
    asked("?cursor=99", "*/*").await.is(400).problem("cursor-malformed");
    asked("?cursor=nonsense", "*/*").await.is(400).problem("cursor-malformed");
    asked("?colour=red", "*/*").await.is(400);
    assert_eq!(asked("?cursor=12", "*/*").await.is(200).body["lines"], json!([]));
}
