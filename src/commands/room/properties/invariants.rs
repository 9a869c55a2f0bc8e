//! The invariants of a room.

use std::collections::BTreeSet;

use super::ledger::Ledger;
use crate::commands::context::NewEvent;
use crate::commands::room::state::{OpenState, Room};
use crate::commands::room::testing::room_id;
use crate::events::room::view::RoomStatus;
use crate::events::room::{OneScreen, Role, RoomEvent};
use crate::events::time::Timestamp;
use crate::ids::{Identity, RoomVersion};

/// Promises of a room at any time.
pub fn check(room: &Room, ledger: &Ledger, version: RoomVersion, now: Timestamp) {
    let view = room.view(room_id(), version);
    assert_eq!(view.is_some(), version > 0);
    let people = room.participants();
    let present: BTreeSet<&Identity> = people.iter().map(|person| &person.view.identity).collect();
    assert_eq!(present, ledger.present(), "who is present");
    for person in &people {
        let sessions: BTreeSet<_> = person.view.sessions.iter().map(|session| session.session).collect();
        assert_eq!(sessions, ledger.stays_of(&person.view.identity), "stays");
    }
    let waiting = room.waiting().into_iter().map(|waiting| (waiting.view.identity, waiting.view.session)).collect();
    assert_eq!(ledger.waiting(), &waiting, "who waits");
    if let Some(view) = view {
        assert_eq!(view.participant_count, people.len() as u64, "the count of people is that of those present");
        assert_eq!(view.waiting_count, waiting.len() as u64);
        assert_eq!(view.hands, ledger.hands(), "hands are those of people present, in the order in which they rose");
        assert_eq!(view.recording.map(|recording| recording.recording), ledger.recording());
        assert!(view.status == RoomStatus::Open || people.is_empty());
    }
    if let Room::Open(open) = room {
        check_open(open, ledger, now);
    }
}

fn check_open(open: &OpenState, ledger: &Ledger, now: Timestamp) {
    let people = &open.people;
    let of_role = |role: Role| -> BTreeSet<&Identity> {
        people.iter().filter(|(_, person)| person.role == role).map(|(identity, _)| identity).collect()
    };
    assert_eq!(people.hosts().collect::<BTreeSet<_>>(), of_role(Role::Host));
    assert_eq!(people.moderators().collect::<BTreeSet<_>>(), of_role(Role::Moderator));
    let staff = people.iter().any(|(_, person)| person.role.is_staff());
    assert!(!staff || people.hosts().len() > 0, "a host is there while staff is");
    assert!(
        open.spotlight.as_ref().is_none_or(|identity| people.get(identity).is_some()),
        "the spotlight is on nobody"
    );
    assert_eq!(people.count() == 0, people.empty_since().is_some());
    for (identity, _) in people.iter() {
        assert!(!open.config.is_banned(identity, now), "{identity} is banned and present");
    }
    assert_eq!(open.tracks.iter().map(|(id, _)| id).collect::<Vec<_>>(), ledger.tracks().collect::<Vec<_>>());
    for (id, track) in open.tracks.iter() {
        let owner = people.get(&track.identity).expect("a track's owner is present");
        assert!(owner.sessions.iter().any(|stay| stay.session == track.session), "a track's stay goes on");
        assert!(open.tracks.of(&track.identity).any(|(own, _)| own == id));
        assert!(track.muted || !track.muted_by_staff);
        assert!(!track.muted_by_staff || open.tracks.is_held(&track.identity, track.source));
    }
}

/// Promises of a step from one room to the next.
pub fn check_step(command: &str, before: &Room, after: &Room) {
    let (Room::Open(before), Room::Open(after)) = (before, after) else { return };
    let most = before.config.settings.max_participants.map_or(usize::MAX, |most| most as usize);
    let (was, is) = (before.people.count(), after.people.count());
    assert!(is <= was || is <= most, "{command}: {is} people in a room for {most}");
    for (identity, person) in after.people.iter() {
        let role_was = before.people.get(identity).map(|person| person.role);
        if role_was.is_some_and(|role| role != person.role) {
            let rights = &after.config.settings.publish;
            let mut own = after.tracks.of(identity).map(|(_, track)| track.source.publish_kind());
            assert!(own.all(|kind| rights.of(kind).contains(&person.role)), "{command}: {identity} lost the right");
        }
    }
    let screens = after.tracks.screens().len();
    if after.config.settings.one_screen != OneScreen::Off && command == "publish-track" {
        assert!(screens <= 1 || screens <= before.tracks.screens().len(), "{screens} screens");
    }
}

/// The state as it comes back from a snapshot.
pub fn as_snapshot(room: &Room) -> Room {
    let text = serde_json::to_vec(room).expect("a state is written");
    let read: Room = serde_json::from_slice(&text).expect("a state is read");
    assert_eq!(&read, room);
    read
}

/// An event is stored and read back as it was; personal data is beside it.
pub fn check_round_trip(new_event: &NewEvent) {
    let event = &new_event.event;
    let stored = event.to_json().expect("an event is written");
    assert_eq!(&RoomEvent::decode(event.name(), event.version(), &stored).expect("an event is read"), event);
    let subject = match event {
        RoomEvent::ParticipantWaiting(event) => Some(&event.identity),
        RoomEvent::ParticipantJoined(event) => Some(&event.identity),
        RoomEvent::ParticipantRenamed(event) => Some(&event.identity),
        RoomEvent::ParticipantMetadataSet(event) => Some(&event.identity),
        RoomEvent::MessageSent(event) => Some(&event.author),
        RoomEvent::MessageEdited(event) => Some(&event.author),
        _ => None,
    };
    if let Some(personal) = &new_event.personal {
        assert_eq!(Some(&personal.subject), subject, "what is personal is of the person whom the event is about");
        assert!(!personal.fields.is_empty());
    }
}

/// Whether an event is one of those that say nothing to a state, or may say once more what is so.
pub fn changes_the_room(event: &RoomEvent) -> bool {
    !matches!(event, RoomEvent::MessageSent(_) | RoomEvent::MessageEdited(_) | RoomEvent::IdentityBanned(_))
}
