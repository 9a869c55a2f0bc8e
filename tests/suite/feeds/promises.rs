//! The promises of a feed.

use std::time::{Duration, Instant};

use super::{Fixture, PATIENCE, positions};
use crate::log::{room, write};

pub async fn every_event_comes_once_in_order_and_as_it_was_written(fixture: impl Fixture) {
    let rooms = [room(), room(), room()];
    for _ in 0..20 {
        for key in &rooms {
            write(fixture.log(), key, 3).await;
        }
    }
    let mut feed = fixture.source().open(0);
    let mut given = Vec::new();
    while given.len() < 180 {
        let page = tokio::time::timeout(PATIENCE, feed.next()).await.expect("what is there comes").unwrap();
        assert!(!page.is_empty());
        given.extend(page);
    }
    let written = fixture.log().read(0, 1_000).await.unwrap();
    assert_eq!(format!("{given:?}"), format!("{written:?}"));
}

pub async fn a_feed_begins_right_behind_any_position(fixture: impl Fixture) {
    let rooms = [room(), room()];
    for _ in 0..30 {
        for key in &rooms {
            write(fixture.log(), key, 2).await;
        }
    }
    let source = fixture.source();
    for after in [0, 1, 59, 60, 118, 119] {
        let found = positions(&mut *source.open(after), 120).await;
        assert!(found.iter().copied().eq(after + 1..=120), "{after}: {found:?}");
    }
}

pub async fn what_is_appended_comes_to_who_waits_for_it(fixture: impl Fixture) {
    let key = room();
    write(fixture.log(), &key, 5).await;
    let mut feed = fixture.source().open(5);
    for next in 6..30 {
        let waiting = tokio::spawn(async move {
            let found = positions(&mut *feed, next).await;
            (feed, found)
        });
        write(fixture.log(), &key, 1).await;
        let (back, found) = waiting.await.unwrap();
        feed = back;
        assert_eq!(found, [next]);
    }
}

pub async fn a_feed_that_is_dropped_while_it_waits_loses_nothing(fixture: impl Fixture) {
    let key = room();
    let mut feed = fixture.source().open(0);
    let mut found = Vec::new();
    let writing = tokio::spawn({
        let (log, key) = (fixture.log().clone(), key.clone());
        async move {
            for _ in 0..100 {
                write(&log, &key, 1).await;
            }
        }
    });
    let begun = Instant::now();
    let mut micros = 0;
    while found.last() != Some(&100) {
        assert!(begun.elapsed() < PATIENCE, "{found:?}");
        // Given up at every moment of its work.
        micros = (micros + 700) % 20_000;
        if let Ok(page) = tokio::time::timeout(Duration::from_micros(micros), feed.next()).await {
            found.extend(page.unwrap().iter().map(|event| event.position));
        }
    }
    writing.await.unwrap();
    assert!(found.iter().copied().eq(1..=100), "{found:?}");
}

pub async fn what_is_skipped_does_not_come(fixture: impl Fixture) {
    let key = room();
    write(fixture.log(), &key, 50).await;
    let mut feed = fixture.source().open(0);
    feed.skip_to(40);
    assert!(positions(&mut *feed, 50).await.into_iter().eq(41..=50));
    feed.skip_to(10);
    write(fixture.log(), &key, 2).await;
    assert!(positions(&mut *feed, 52).await.into_iter().eq(51..=52), "nothing comes again");
}

pub async fn many_writers_make_one_order_for_all_who_follow(fixture: impl Fixture) {
    let source = fixture.source();
    let followers: Vec<_> = (0..3)
        .map(|_| {
            let mut feed = source.open(0);
            tokio::spawn(async move { positions(&mut *feed, 800).await })
        })
        .collect();
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let (log, key) = (fixture.log().clone(), room());
            tokio::spawn(async move {
                for _ in 0..50 {
                    write(&log, &key, 2).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for follower in followers {
        assert!(follower.await.unwrap().into_iter().eq(1..=800));
    }
}
