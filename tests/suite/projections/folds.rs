//! Folds without a database: whatever happens in rooms, the read models say what the rules' own state says.

use convoke::commands::room::state;
use convoke::events::room::RoomEvent;
use convoke::ids::{Identity, RoomKey};
use convoke::projections::activity::ActivityModel;
use convoke::projections::apply;
use convoke::projections::messages::{Message, MessageRow, MessagesModel};
use convoke::projections::model::ReadModel;
use convoke::projections::retention_filter::RetentionFilter;
use convoke::projections::rooms::{LabelRow, ParticipantRow, RoomRow, RoomsModel, TrackRow, WaitingRow};
use convoke::projections::sessions::{SessionRow, SessionsModel};
use convoke::projections::usage::UsageModel;
use proptest::prelude::*;

use super::memory::Memory;
use super::people;
use super::story::{Dice, Story};

/// In batches of random sizes, as a worker folds or as a rebuild does, which holds rows.
pub fn fold<M: ReadModel>(story: &Story, seed: u64, holding: bool) -> Memory {
    let mut model = if holding { super::memory::holding() } else { M::default() };
    let mut dice = Dice::new(seed);
    let mut memory = Memory::default();
    let entries = story.entries();
    let mut rest = entries.as_slice();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at((dice.roll(40) + 1).min(rest.len()));
        memory.take(&mut model, batch);
        if dice.roll(12) == 0 {
            // As when too many rows are held.
            memory.release(&mut model);
        }
        rest = later;
    }
    memory.release(&mut model);
    memory
}

fn check_room(memory: &Memory, key: &RoomKey, room: &state::Room, version: u64) {
    let ours = |row_room, row_tenant: &_| row_room == key.room && *row_tenant == key.tenant;
    let mut present: Vec<ParticipantRow> = memory.rows();
    present.retain(|row| ours(row.room, &row.tenant));
    let mut hands: Vec<(u64, Identity)> =
        present.iter().filter_map(|row| Some((row.hand?, row.identity.clone()))).collect();
    hands.sort();
    let hands = hands.into_iter().map(|(_, identity)| identity).collect();
    let rooms: Vec<RoomRow> = memory.rows();
    let row = rooms.into_iter().find(|row| ours(row.room, &row.tenant));
    let labels = row.as_ref().map(|row| row.settings.0.labels.clone()).unwrap_or_default();
    let status = row.as_ref().map(|row| row.status.0);
    assert_eq!(row.as_ref().and_then(|row| row.due_at), room.deadline().map(|(at, _)| at));
    assert_eq!(row.map(|row| row.view(hands)), room.view(key.room, version));

    let mut tracks: Vec<_> =
        present.iter().flat_map(|row| row.tracks.0.iter().map(|t| (t.track, row.identity.clone()))).collect();
    tracks.sort();
    let mut owners: Vec<TrackRow> = memory.rows();
    owners.retain(|row| ours(row.room, &row.tenant));
    let mut owned: Vec<_> = owners.into_iter().map(|row| (row.track, row.identity)).collect();
    owned.sort();
    assert_eq!(owned, tracks);

    let present: Vec<_> = present.into_iter().map(people::participant).collect();
    assert_eq!(present, room.participants());

    let mut waiting: Vec<WaitingRow> = memory.rows();
    waiting.retain(|row| ours(row.room, &row.tenant) && !row.admitted);
    waiting.sort_by_key(|row| row.since);
    let waiting: Vec<_> = waiting.into_iter().map(people::waiter).collect();
    assert_eq!(waiting, room.waiting());

    let found: Vec<LabelRow> = memory.rows();
    let found: Vec<LabelRow> = found.into_iter().filter(|row| ours(row.room, &row.tenant)).collect();
    assert!(found.iter().all(|row| Some(row.status.0) == status));
    let found = found.into_iter().map(|row| (row.label.to_string(), row.value.to_string())).collect();
    assert_eq!(labels, found);
}

fn check_sessions(memory: &Memory, story: &Story) {
    let rows: Vec<SessionRow> = memory.rows();
    let joins = story.history.iter().filter(|told| matches!(told.event, RoomEvent::ParticipantJoined(_)));
    assert_eq!(rows.len(), joins.count());
    for row in rows {
        let key = RoomKey { tenant: row.tenant.clone(), room: row.room };
        let left = story.history.iter().find_map(|told| match &told.event {
            RoomEvent::ParticipantLeft(left) if told.key == key && left.session == row.session => Some((told, left)),
            _ => None,
        });
        assert_eq!(row.left_at, left.map(|(told, _)| told.at));
        assert_eq!(row.seconds, left.map(|(_, left)| left.seconds));
        assert_eq!(row.reason.map(|reason| reason.0), left.map(|(_, left)| left.reason));
        if let Some(left_at) = row.left_at {
            assert_eq!(row.seconds, Some(left_at.seconds_since(row.joined_at)));
        }
    }
}

fn check_messages(memory: &Memory, story: &Story) {
    let rows: Vec<MessageRow> = memory.rows();
    let sent = story.history.iter().filter(|told| matches!(told.event, RoomEvent::MessageSent(_)));
    assert_eq!(rows.len(), sent.count());
    for row in rows {
        let key = RoomKey { tenant: row.tenant.clone(), room: row.room };
        let message = Message::from(row);
        let mut text = None;
        let (mut edited, mut deleted) = (None, None);
        for told in story.history.iter().filter(|told| told.key == key) {
            match &told.event {
                RoomEvent::MessageSent(sent) if told.version == message.version => {
                    assert_eq!((&sent.author, &sent.to), (&message.author, &message.to));
                    text = told.sealed.clone();
                }
                RoomEvent::MessageEdited(event) if event.message == message.version => {
                    edited = Some(told.at);
                    text = told.sealed.clone();
                }
                RoomEvent::MessageDeleted(event) if event.message == message.version => {
                    deleted = Some(told.at);
                    text = None;
                }
                _ => {}
            }
        }
        assert_eq!((message.edited_at, message.deleted_at), (edited, deleted));
        assert_eq!(message.text.map(|text| text.sealed), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_read_models_say_what_the_state_of_the_rules_says(seed: u64, cut: u64) {
        let mut story = Story::new(seed);
        story.go_on(400);
        let memory = fold::<RoomsModel>(&story, cut, false);
        for (key, (room, version)) in &story.rooms {
            check_room(&memory, key, room, *version);
        }
        check_sessions(&fold::<SessionsModel>(&story, cut, false), &story);
        check_messages(&fold::<MessagesModel>(&story, cut, false), &story);
    }

    #[test]
    fn however_the_log_is_cut_the_rows_and_the_digest_are_the_same(seed: u64, cut: u64, other: u64) {
        let mut story = Story::new(seed);
        story.go_on(300);
        let pairs = [
            (fold::<RoomsModel>(&story, cut, false), fold::<RoomsModel>(&story, other, true)),
            (fold::<SessionsModel>(&story, cut, false), fold::<SessionsModel>(&story, other, true)),
            (fold::<MessagesModel>(&story, cut, false), fold::<MessagesModel>(&story, other, true)),
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

#[test]
fn a_story_of_some_length_leaves_no_kind_of_event_out() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..30 {
        seen.extend(Story::new(seed).go_on(1_000).history.iter().map(|told| told.event.name()));
    }
    // Recordings fail by a command that the stories leave out; nobody is erased in a room.
    let all = RoomEvent::catalogue().into_iter().filter(|kind| kind.is_of_rooms()).map(|kind| kind.name);
    let missing: Vec<_> = all.filter(|name| !seen.contains(name) && *name != "room.recording-failed").collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The room's row and the person's, whatever the number of people.
#[test]
fn an_event_in_a_room_of_ten_thousand_writes_two_rows() {
    let mut story = Story::new(1);
    let key = story.open_room();
    for number in 0..10_000 {
        assert!(story.ask(&key, "join", &serde_json::json!({ "identity": format!("p{number}") })));
    }
    let mut model = RoomsModel::default();
    let mut memory = Memory::default();
    memory.take(&mut model, &story.entries());
    let before = story.history.len();
    assert!(story.ask(&key, "raise-hand", &serde_json::json!({ "identity": "p5000" })));
    let entries = &story.entries()[before..];
    assert_eq!(entries.len(), 1);
    assert!(!apply::need(&mut model, &RetentionFilter::default(), entries), "both rows are in memory");
    let changes = apply::fold(&mut model, &RetentionFilter::default(), entries);
    let written: usize = changes.iter().map(|(_, changes)| changes.updates.len()).sum();
    let others: usize = changes.iter().map(|(_, changes)| changes.inserts.len() + changes.deletes.len()).sum();
    assert_eq!((written, others), (2, 0));
    let bytes: usize = changes.iter().map(|(_, changes)| changes.updates.bytes().len()).sum();
    assert!(bytes < 2_000, "{bytes} bytes");
}
