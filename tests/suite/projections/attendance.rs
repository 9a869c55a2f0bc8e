//! Who attended a room, held against a count by hand.

use std::collections::BTreeSet;

use convoke::events::log::EventLog;
use convoke::projections::read::ReadModels;

use super::live::Workers;
use super::reads::pages;
use super::story::{Dice, Story, tenant};
use super::wild::{BEGIN, DAY, Span, Wild, covered, moment};
use crate::harness::TestDb;

#[tokio::test]
async fn people_are_told_with_each_stay_and_the_time_that_they_were_there_at_all() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(71);
    let wild = Wild::tell(&mut story, &mut Dice::new(72), tenant("acme"), 400);
    story.write(&log).await;
    let workers = Workers::on(log);
    workers.reach(story.history.len() as u64).await;
    workers.stop().await;
    let models = ReadModels::new(db.system.clone());
    let as_of = BEGIN + 6 * DAY;
    let (mut several, mut open) = (0, 0);
    for room in &wild.rooms {
        let people: BTreeSet<_> = wild.stays.iter().filter(|s| s.room == *room).map(|s| s.identity.clone()).collect();
        let found = pages(async |page| models.attendance(&wild.tenant, *room, None, moment(as_of), page).await).await;
        assert_eq!(
            found.iter().map(|a| a.identity.clone()).collect::<Vec<_>>(),
            people.into_iter().collect::<Vec<_>>()
        );
        for attendee in found {
            let mut stays: Vec<&Span> =
                wild.stays.iter().filter(|s| s.room == *room && s.identity == attendee.identity).collect();
            stays.sort_by_key(|stay| stay.session);
            let told = attendee.stays.iter().map(|stay| (stay.session, stay.joined_at)).collect::<Vec<_>>();
            assert_eq!(told, stays.iter().map(|stay| (stay.session, moment(stay.from))).collect::<Vec<_>>());
            assert_eq!(attendee.stay_count, stays.len() as u64);
            assert_eq!(attendee.present, stays.iter().any(|stay| stay.to.is_none()));
            assert_eq!(attendee.first_seen, moment(stays.iter().map(|stay| stay.from).min().unwrap()));
            let last = stays.iter().map(|stay| stay.to.unwrap_or(as_of)).max().unwrap();
            assert_eq!(attendee.last_seen, moment(last));
            let attended = covered(stays.iter().copied(), BEGIN, as_of);
            assert_eq!(attendee.attended_us, u64::try_from(attended).unwrap(), "{stays:?}");
            several += usize::from(stays.len() > 1);
            open += usize::from(attendee.present);
            let (who, until) = (Some(&attendee.identity), moment(as_of));
            let alone = pages(async |page| models.attendance(&wild.tenant, *room, who, until, page).await).await;
            assert_eq!(alone, std::slice::from_ref(&attendee));
        }
    }
    assert!(several > 5 && open > 2, "{several} {open}");
}

#[tokio::test]
async fn of_somebody_who_came_very_often_all_stays_count_and_the_last_are_told() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(73);
    let key = story.open_room();
    for _ in 0..150 {
        assert!(story.ask(&key, "join", &serde_json::json!({ "identity": "ann" })));
        assert!(story.ask(&key, "leave", &serde_json::json!({ "identity": "ann" })));
    }
    story.write(&log).await;
    let workers = Workers::on(log);
    workers.reach(story.history.len() as u64).await;
    workers.stop().await;
    let models = ReadModels::new(db.system.clone());
    let found = pages(async |page| models.attendance(&key.tenant, key.room, None, moment(BEGIN), page).await).await;
    assert_eq!((found[0].stay_count, found[0].stays.len()), (150, 100));
    let last = pages(async |page| models.sessions(&key.tenant, key.room, page).await).await;
    assert_eq!(found[0].stays[99].session, last[149].session);
}
