//! Rooms and the people in them. They are one read model, because the number of people, the raised hands and the spotlight depend
//! on the people, and a reader must see a room and its people at the same version.
//!
//! A room is one small row, and each person present is one row: in a room of ten thousand people an event writes two rows, not
//! ten thousand. The rows equal the state in `commands::room::state` after the same events, which a test checks.
//!
//! The fold relies on one rule: before a room ends, events record that everybody left.

mod cursors;
mod due;
mod fold;
mod list;
mod open;
mod people;
mod tables;

pub use cursors::{lobby_cursor, people_cursor, read_lobby_cursor, read_people_cursor};
pub use due::{DueRoom, due};
pub use list::{RoomFilter, SCAN};
pub use open::open_rooms;
pub use tables::{LabelRow, ParticipantRow, RoomRow, TrackRow, WaitingRow};

use super::decoded_event::DecodedEvent;
use super::model::ReadModel;
use super::rows::{AnyWorkingSet, ModelRow, ModelTable, WorkingSet};
use crate::events::room::RoomEvent;
use crate::ids::{Identity, RoomId, TenantId, TrackId};

#[derive(Default)]
pub struct RoomsModel {
    rooms: WorkingSet<RoomRow>,
    labels: WorkingSet<LabelRow>,
    participants: WorkingSet<ParticipantRow>,
    waiting: WorkingSet<WaitingRow>,
    tracks: WorkingSet<TrackRow>,
}

impl ReadModel for RoomsModel {
    const NAME: &'static str = "rooms";
    const SHAPE: u16 = 1;
    const TABLES: &'static [&'static ModelTable] =
        &[RoomRow::TABLE, LabelRow::TABLE, ParticipantRow::TABLE, WaitingRow::TABLE, TrackRow::TABLE];

    fn need(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::RoomCreated(_) => return self.rooms.make(room_key(entry)),
            RoomEvent::ParticipantWaiting(event) => self.waiting.need(person_key(entry, &event.identity)),
            RoomEvent::ParticipantAdmitted(event) => self.waiting.need(person_key(entry, &event.identity)),
            RoomEvent::ParticipantDenied(event) => self.waiting.need(person_key(entry, &event.identity)),
            RoomEvent::ParticipantJoined(event) => {
                self.waiting.need(person_key(entry, &event.identity));
                self.need_person(entry, &event.identity);
            }
            RoomEvent::ParticipantLeft(event) => self.need_person(entry, &event.identity),
            RoomEvent::ParticipantRenamed(event) => self.need_person(entry, &event.identity),
            RoomEvent::ParticipantMetadataSet(event) => self.need_person(entry, &event.identity),
            RoomEvent::RoleChanged(event) => self.need_person(entry, &event.identity),
            RoomEvent::HostTransferred(event) => {
                event.from.iter().chain([&event.to]).for_each(|identity| self.need_person(entry, identity));
            }
            RoomEvent::HandRaised(event) => self.need_person(entry, &event.identity),
            RoomEvent::HandLowered(event) => self.need_person(entry, &event.identity),
            RoomEvent::UnmuteAllowed(event) => self.need_person(entry, &event.identity),
            RoomEvent::TrackPublished(event) => {
                self.tracks.make(track_key(entry, &event.track));
                self.need_person(entry, &event.identity);
            }
            RoomEvent::TrackUnpublished(event) => self.need_owner(entry, &event.track),
            RoomEvent::TrackMuted(event) => self.need_owner(entry, &event.track),
            RoomEvent::TrackUnmuted(event) => self.need_owner(entry, &event.track),
            _ => {}
        }
        self.rooms.need(room_key(entry));
    }

    fn fold(&mut self, entry: &DecodedEvent) {
        self.apply(entry);
    }

    fn sets(&mut self) -> Vec<&mut dyn AnyWorkingSet> {
        vec![&mut self.rooms, &mut self.labels, &mut self.participants, &mut self.waiting, &mut self.tracks]
    }
}

impl RoomsModel {
    fn need_person(&mut self, entry: &DecodedEvent, identity: &Identity) {
        self.participants.need(person_key(entry, identity));
    }

    /// The owner of a track is known once the track is; then this is asked again.
    fn need_owner(&mut self, entry: &DecodedEvent, track: &TrackId) {
        let track = track_key(entry, track);
        self.tracks.need(track);
        if let Some(row) = self.tracks.get(track) {
            self.participants.need(person_key(entry, &row.identity));
        }
    }
}

fn room_key(entry: &DecodedEvent) -> (&RoomId, &TenantId) {
    (&entry.room, &entry.tenant)
}

fn person_key<'a>(entry: &'a DecodedEvent, identity: &'a Identity) -> (&'a RoomId, &'a TenantId, &'a Identity) {
    (&entry.room, &entry.tenant, identity)
}

fn track_key<'a>(entry: &'a DecodedEvent, track: &'a TrackId) -> (&'a RoomId, &'a TrackId, &'a TenantId) {
    (&entry.room, track, &entry.tenant)
}
