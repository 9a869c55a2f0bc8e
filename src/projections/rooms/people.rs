//! Applies events to the people in a room: those present, with their hands and tracks, and those in the lobby.

use super::tables::{ParticipantRow, TrackRow, WaitingRow};
use super::{RoomsModel, person_key, track_key};
use crate::events::room::view::{SessionView, TrackView};
use crate::events::room::{
    ParticipantAdmitted, ParticipantDenied, ParticipantJoined, ParticipantLeft, ParticipantWaiting, Role, RoomEvent,
    TrackPublished,
};
use crate::ids::{Identity, TrackId};
use crate::projections::decoded_event::DecodedEvent;
use crate::projections::rows::{EnumText, JsonText};

impl RoomsModel {
    pub(super) fn apply_to_people(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::ParticipantWaiting(event) => self.waits(entry, event),
            RoomEvent::ParticipantAdmitted(event) => self.admitted(entry, event),
            RoomEvent::ParticipantDenied(event) => self.denied(entry, event),
            RoomEvent::ParticipantJoined(event) => self.joined(entry, event),
            RoomEvent::ParticipantLeft(event) => self.left(entry, event),
            RoomEvent::ParticipantRenamed(event) => self.change_person(entry, &event.identity, |person| {
                person.renamed_at = entry.sealed.as_ref().map(|_| entry.room_version);
                person.renamed = entry.sealed.clone();
            }),
            RoomEvent::ParticipantMetadataSet(event) => self.change_person(entry, &event.identity, |person| {
                person.metadata_set_at = entry.sealed.as_ref().map(|_| entry.room_version);
                person.metadata_set = entry.sealed.clone();
            }),
            RoomEvent::RoleChanged(event) => self.set_role(entry, &event.identity, event.to),
            RoomEvent::HostTransferred(event) => {
                if let Some(from) = &event.from {
                    self.set_role(entry, from, Role::Moderator);
                }
                self.set_role(entry, &event.to, Role::Host);
            }
            RoomEvent::HandRaised(event) => self.change_person(entry, &event.identity, |person| {
                // One that is up keeps its place.
                person.hand = person.hand.or(Some(entry.room_version));
            }),
            RoomEvent::HandLowered(event) => self.change_person(entry, &event.identity, |person| person.hand = None),
            _ => self.apply_to_tracks(entry),
        }
    }

    fn apply_to_tracks(&mut self, entry: &DecodedEvent) {
        match &entry.event {
            RoomEvent::TrackPublished(event) => self.published(entry, event),
            RoomEvent::TrackUnpublished(event) => {
                self.change_owner(entry, event.track, |person| person.tracks.0.retain(|t| t.track != event.track));
                self.tracks.remove(track_key(entry, &event.track));
            }
            RoomEvent::TrackMuted(event) => self.change_track(entry, event.track, |track| {
                track.muted = true;
                track.muted_by_staff |= event.by_staff;
            }),
            RoomEvent::TrackUnmuted(event) => self.change_track(entry, event.track, |track| {
                track.muted = false;
                track.muted_by_staff = false;
            }),
            RoomEvent::UnmuteAllowed(event) => self.change_person(entry, &event.identity, |person| {
                person.tracks.0.iter_mut().for_each(|track| track.muted_by_staff = false);
            }),
            _ => {}
        }
    }

    fn change_person(&mut self, entry: &DecodedEvent, identity: &Identity, change: impl FnOnce(&mut ParticipantRow)) {
        self.participants.change(person_key(entry, identity), change);
    }

    fn change_owner(&mut self, entry: &DecodedEvent, track: TrackId, change: impl FnOnce(&mut ParticipantRow)) {
        let owner = self.tracks.get(track_key(entry, &track)).map(|row| row.identity.clone());
        if let Some(owner) = owner {
            self.change_person(entry, &owner, change);
        }
    }

    fn change_track(&mut self, entry: &DecodedEvent, track: TrackId, change: impl FnOnce(&mut TrackView)) {
        self.change_owner(entry, track, |person| {
            if let Some(track) = person.tracks.0.iter_mut().find(|t| t.track == track) {
                change(track);
            }
        });
    }

    fn set_role(&mut self, entry: &DecodedEvent, identity: &Identity, role: Role) {
        self.change_person(entry, identity, |person| person.role = EnumText(role));
    }

    fn waits(&mut self, entry: &DecodedEvent, event: &ParticipantWaiting) {
        let known = self.waiting.get(person_key(entry, &event.identity));
        if known.is_none_or(|row| row.admitted) {
            self.change_room(entry, |room| room.waiting_count += 1);
        }
        self.waiting.put(WaitingRow {
            room: entry.room,
            tenant: entry.tenant.clone(),
            identity: event.identity.clone(),
            session: event.session,
            role: EnumText(event.role),
            since: entry.room_version,
            waiting_since: entry.happened_at,
            admitted: false,
            personal_at: entry.sealed.as_ref().map(|_| entry.room_version),
            personal: entry.sealed.clone(),
        });
    }

    fn is_waiting(&self, entry: &DecodedEvent, identity: &Identity) -> bool {
        self.waiting.get(person_key(entry, identity)).is_some_and(|row| !row.admitted)
    }

    fn admitted(&mut self, entry: &DecodedEvent, event: &ParticipantAdmitted) {
        if self.is_waiting(entry, &event.identity) {
            self.waiting.change(person_key(entry, &event.identity), |row| row.admitted = true);
            self.change_room(entry, |room| room.waiting_count = room.waiting_count.saturating_sub(1));
        }
    }

    fn denied(&mut self, entry: &DecodedEvent, event: &ParticipantDenied) {
        if self.is_waiting(entry, &event.identity) {
            self.waiting.remove(person_key(entry, &event.identity));
            self.change_room(entry, |room| room.waiting_count = room.waiting_count.saturating_sub(1));
        }
    }

    /// Personal fields that come with a join replace all that was known; a join without any takes those from the lobby, or
    /// leaves the person's as they are.
    fn joined(&mut self, entry: &DecodedEvent, event: &ParticipantJoined) {
        let key = person_key(entry, &event.identity);
        let from_lobby = match self.waiting.get(key) {
            Some(row) if row.admitted => self.waiting.remove(key).map(|row| (row.personal_at, row.personal)),
            _ => None,
        };
        let (at, sealed) = match &entry.sealed {
            Some(sealed) => (Some(entry.room_version), Some(sealed.clone())),
            None => from_lobby.unwrap_or_default(),
        };
        let stay = SessionView { session: event.session, joined_at: entry.happened_at };
        if self.participants.get(key).is_some() {
            self.participants.change(key, |person| {
                person.sessions.0.push(stay);
                if sealed.is_some() {
                    (person.joined_personal_at, person.joined_personal) = (at, sealed);
                    (person.renamed_at, person.renamed) = (None, None);
                    (person.metadata_set_at, person.metadata_set) = (None, None);
                }
            });
            return;
        }
        self.participants.put(ParticipantRow {
            room: entry.room,
            tenant: entry.tenant.clone(),
            identity: event.identity.clone(),
            role: EnumText(event.role),
            present_since: entry.happened_at,
            sessions: JsonText(vec![stay]),
            tracks: JsonText(Vec::new()),
            hand: None,
            joined_personal_at: at,
            joined_personal: sealed,
            renamed_at: None,
            renamed: None,
            metadata_set_at: None,
            metadata_set: None,
        });
        self.change_room(entry, |room| room.participant_count += 1);
    }

    /// The stay's tracks end; with the person's last stay they are gone, hand and spotlight with them.
    fn left(&mut self, entry: &DecodedEvent, event: &ParticipantLeft) {
        let key = person_key(entry, &event.identity);
        let Some(person) = self.participants.get(key) else { return };
        let ended: Vec<TrackId> =
            person.tracks.0.iter().filter(|t| t.session == event.session).map(|t| t.track).collect();
        let gone = person.sessions.0.iter().all(|stay| stay.session == event.session);
        for track in &ended {
            // Needs no reading: the person's row says whose it is.
            let row = TrackRow {
                room: entry.room,
                tenant: entry.tenant.clone(),
                track: *track,
                identity: event.identity.clone(),
            };
            self.tracks.assume(row);
            self.tracks.remove(track_key(entry, track));
        }
        if !gone {
            return self.participants.change(key, |person| {
                person.sessions.0.retain(|stay| stay.session != event.session);
                person.tracks.0.retain(|track| track.session != event.session);
            });
        }
        self.participants.remove(key);
        self.change_room(entry, |room| {
            room.participant_count = room.participant_count.saturating_sub(1);
            if room.spotlight.as_ref() == Some(&event.identity) {
                room.spotlight = None;
            }
        });
    }

    fn published(&mut self, entry: &DecodedEvent, event: &TrackPublished) {
        let key = person_key(entry, &event.identity);
        if self.participants.get(key).is_none() {
            return;
        }
        self.tracks.put(TrackRow {
            room: entry.room,
            tenant: entry.tenant.clone(),
            track: event.track,
            identity: event.identity.clone(),
        });
        let track = TrackView {
            track: event.track,
            session: event.session,
            kind: event.kind,
            source: event.source,
            codec: event.codec.clone(),
            width: event.width,
            height: event.height,
            muted: event.muted,
            muted_by_staff: false,
        };
        self.participants.change(key, |person| {
            let at = person.tracks.0.partition_point(|t| t.track < track.track);
            person.tracks.0.insert(at, track);
        });
    }
}
