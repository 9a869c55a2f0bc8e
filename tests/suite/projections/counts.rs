//! What went on in rooms by the hour and what tenants used by the day, held against counts by hand, over histories that come
//! in any order.

use convoke::events::log::EventLog;
use convoke::ids::RoomId;
use convoke::projections::MODELS;
use convoke::projections::activity::{ActivityHour, ActivityModel, HourQuery};
use convoke::projections::read::{PageRequest, ReadModels};
use convoke::projections::rebuild::{Rebuild, RebuildPurpose};
use convoke::projections::usage::{DayQuery, UsageDay, UsageModel};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::folds::fold;
use super::live::Workers;
use super::reads::pages;
use super::story::{Dice, Story, tenant};
use super::wild::{BEGIN, DAY, HOUR, Span, Wild, covered, moment, most};
use crate::harness::TestDb;

fn floor(at: i64, length: i64) -> i64 {
    at - at.rem_euclid(length)
}

/// When anybody came or went.
fn edges(spans: &[Span]) -> impl Iterator<Item = i64> {
    spans.iter().flat_map(|span| std::iter::once(span.from).chain(span.to))
}

fn expected_days(wild: &Wild, as_of: i64) -> Vec<UsageDay> {
    let Some(first) = edges(&wild.stays).min() else { return Vec::new() };
    let as_of = edges(&wild.stays).max().unwrap().max(as_of);
    let mut days = Vec::new();
    let mut day = floor(first, DAY);
    while day <= as_of {
        let end = day + DAY;
        let spent = |span: &Span| (span.to.unwrap_or(as_of).min(end) - span.from.max(day)).max(0);
        days.push(UsageDay {
            day: moment(day),
            participant_us: wild.stays.iter().map(spent).sum::<i64>().try_into().unwrap(),
            peak: most(wild.stays.iter(), day, end),
            joins: wild.stays.iter().filter(|span| (day..end).contains(&span.from)).count() as u64,
            open: wild.stays.iter().filter(|span| span.from < end && span.to.is_none_or(|to| to >= end)).count() as u64,
            complete: end <= as_of,
        });
        day = end;
    }
    days
}

fn expected_hours(wild: &Wild, room: RoomId, as_of: i64) -> Vec<ActivityHour> {
    let of_room = |spans: &[Span]| spans.iter().filter(|span| span.room == room).cloned().collect::<Vec<_>>();
    let (stays, screens) = (of_room(&wild.stays), of_room(&wild.screens));
    let messages: Vec<i64> = wild.messages.iter().filter(|(of, _)| *of == room).map(|(_, at)| *at).collect();
    let told: Vec<i64> = edges(&stays).chain(edges(&screens)).chain(messages.iter().copied()).collect();
    let Some(first) = told.iter().min() else { return Vec::new() };
    let as_of = told.iter().max().unwrap().max(&as_of);
    let mut hours = Vec::new();
    let mut hour = floor(*first, HOUR);
    while hour <= *as_of {
        let end = hour + HOUR;
        let within = |at: &&i64| (hour..end).contains(*at);
        let went_on = stays.iter().chain(&screens).any(|span| span.from < hour && span.to.is_none_or(|to| to >= hour));
        if went_on || told.iter().any(|at| within(&at)) {
            hours.push(ActivityHour {
                hour: moment(hour),
                joins: stays.iter().filter(|span| within(&&span.from)).count() as u64,
                peak: most(stays.iter(), hour, end),
                messages: messages.iter().filter(within).count() as u64,
                screen_us: covered(screens.iter(), hour, end.min(*as_of)).try_into().unwrap(),
                complete: end <= *as_of,
            });
        }
        hour = end;
    }
    hours
}

async fn check(models: &ReadModels, wild: &Wild, as_of: i64) {
    let (from, until, as_of_time) = (None, None, moment(as_of));
    let days = DayQuery { from, until, as_of: as_of_time };
    let expected = expected_days(wild, as_of);
    assert_eq!(pages(async |page| models.usage(&wild.tenant, days, page).await).await, expected);
    let some = DayQuery { from: Some(moment(BEGIN + DAY)), until: Some(moment(BEGIN + 2 * DAY)), as_of: as_of_time };
    let found = pages(async |page| models.usage(&wild.tenant, some, page).await).await;
    let within = |day: &&UsageDay| day.day >= moment(BEGIN + DAY) && day.day <= moment(BEGIN + 2 * DAY);
    assert_eq!(found.iter().filter(|day| day.joins > 0).collect::<Vec<_>>(), {
        expected.iter().filter(within).filter(|day| day.joins > 0).collect::<Vec<_>>()
    });
    for room in &wild.rooms {
        let hours = HourQuery { from, until, as_of: as_of_time };
        let expected = expected_hours(wild, *room, as_of);
        assert_eq!(pages(async |page| models.activity(&wild.tenant, *room, hours, page).await).await, expected);
        let from = moment(BEGIN + 30 * HOUR + HOUR / 2);
        let some = HourQuery { from: Some(from), until: Some(moment(BEGIN + 50 * HOUR)), as_of: as_of_time };
        let found = pages(async |page| models.activity(&wild.tenant, *room, some, page).await).await;
        let (first, last) = (moment(BEGIN + 30 * HOUR), moment(BEGIN + 50 * HOUR));
        let expected = expected.into_iter().filter(|hour| hour.hour >= first && hour.hour <= last);
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hours_and_days_are_exact_in_whatever_order_history_comes_in() {
    let db = TestDb::new().await;
    let log = EventLog::new(db.system.clone());
    let mut story = Story::new(61);
    let mut dice = Dice::new(62);
    let mut wilds = Vec::new();
    for (number, events) in [0, 1, 2, 5, 12, 30, 60, 120, 200, 300].into_iter().cycle().take(20).enumerate() {
        wilds.push(Wild::tell(&mut story, &mut dice, tenant(&format!("t{number}")), events));
    }
    story.write(&log).await;
    let workers = Workers::on(log.clone());
    workers.reach(story.history.len() as u64).await;
    workers.stop().await;
    let models = ReadModels::new(db.system.clone());
    let mut joined = 0;
    for wild in &wilds {
        joined += wild.stays.len();
        for as_of in [BEGIN + DAY + HOUR / 3, BEGIN + 6 * DAY] {
            check(&models, wild, as_of).await;
        }
    }
    assert!(joined > 300, "{joined} stays");
    let busy = "SELECT count(DISTINCT hour) FROM convoke.rm_activity_hours";
    let busy: i64 = sqlx::query_scalar(busy).fetch_one(&db.owner).await.unwrap();
    assert!(busy > 0, "some hours are so busy that they lie apart");
    // Folded anew it is the same, also where more is known than memory may hold.
    for (purpose, kept) in [(RebuildPurpose::Verify, 5), (RebuildPurpose::Rebuild, 200_000)] {
        let rebuild = Rebuild::new(log.clone(), 40).keeping_at_most(kept);
        for report in rebuild.run(MODELS, purpose, &CancellationToken::new()).await.unwrap() {
            assert!(report.comparison.is_equal(), "{report:?}");
        }
    }
    check(&models, &wilds[9], BEGIN + 6 * DAY).await;
    let nobody = PageRequest { limit: 10, cursor: None };
    let days = DayQuery { from: None, until: None, as_of: moment(BEGIN) };
    assert!(models.usage(&tenant("nobody"), days, nobody).await.unwrap().items.is_empty());
    let hours = HourQuery { from: None, until: None, as_of: moment(BEGIN) };
    assert!(models.activity(&tenant("t8"), wilds[9].rooms[0], hours, nobody).await.unwrap().items.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn however_a_wild_history_is_cut_the_rows_and_the_digest_are_the_same(seed: u64, cut: u64, other: u64) {
        let mut story = Story::new(seed);
        let mut dice = Dice::new(seed);
        for name in ["acme", "other"] {
            Wild::tell(&mut story, &mut dice, tenant(name), 240);
        }
        let pairs = [
            (fold::<ActivityModel>(&story, cut, false), fold::<ActivityModel>(&story, other, true)),
            (fold::<UsageModel>(&story, cut, false), fold::<UsageModel>(&story, other, true)),
        ];
        for (one, two) in pairs {
            prop_assert!(one.same_rows(&two));
            prop_assert_eq!(one.digest, two.digest);
            prop_assert_eq!(one.digest, one.digest_of_rows());
        }
    }
}
