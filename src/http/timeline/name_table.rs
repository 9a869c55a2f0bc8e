//! Who is called what, and whose a track is, event by event.

use std::collections::HashMap;

use super::sentence::SentencePart;
use crate::commands::room::state::Room;
use crate::events::envelope::Envelope;
use crate::events::room::{RoomEvent, TrackSource};
use crate::events::sealed::SealedAt;
use crate::ids::{Actor, Identity, TrackId};

/// The people and tracks that sentences speak of. Somebody who is not there any more, and was not on this page, is called by
/// their identity.
#[derive(Default)]
pub struct NameTable {
    names: HashMap<Identity, SealedAt>,
    tracks: HashMap<TrackId, (Identity, TrackSource)>,
}

impl NameTable {
    /// As the room is before the first sentence.
    pub fn of(room: &Room) -> Self {
        let mut table = Self::default();
        for waiting in room.waiting() {
            table.names.extend(waiting.personal.map(|name| (waiting.view.identity, name)));
        }
        for participant in room.participants() {
            let identity = participant.view.identity;
            let tracks = participant.view.tracks.iter();
            table.tracks.extend(tracks.map(|track| (track.track, (identity.clone(), track.source))));
            table.names.extend(participant.name.map(|name| (identity, name)));
        }
        table
    }

    /// Somebody, by the name that they have now.
    pub fn person(&self, identity: &Identity) -> SentencePart {
        SentencePart::Person(identity.clone(), self.names.get(identity).cloned())
    }

    /// Who did it, at the beginning of a sentence.
    pub fn actor(&self, actor: &Actor) -> SentencePart {
        match actor {
            Actor::Person(identity) => self.person(identity),
            Actor::Key(_) => SentencePart::Text("A server".into()),
            Actor::System(_) => SentencePart::Text("The system".into()),
        }
    }

    pub fn track(&self, track: &TrackId) -> Option<&(Identity, TrackSource)> {
        self.tracks.get(track)
    }

    /// Takes on the names and tracks that begin with an event, before it is described.
    pub fn enter(&mut self, envelope: &Envelope, event: &RoomEvent) {
        match event {
            RoomEvent::ParticipantWaiting(waiting) => self.call(&waiting.identity, envelope),
            // Without a name of its own a join keeps that from the lobby, or from the stay before.
            RoomEvent::ParticipantJoined(joined) if envelope.sealed.is_some() => self.call(&joined.identity, envelope),
            RoomEvent::TrackPublished(track) => {
                self.tracks.insert(track.track, (track.identity.clone(), track.source));
            }
            _ => {}
        }
    }

    /// The same for what changes or ends with an event, after it was told.
    pub fn leave(&mut self, envelope: &Envelope, event: &RoomEvent) {
        match event {
            RoomEvent::ParticipantRenamed(renamed) => self.call(&renamed.identity, envelope),
            RoomEvent::TrackUnpublished(track) => drop(self.tracks.remove(&track.track)),
            _ => {}
        }
    }

    fn call(&mut self, identity: &Identity, envelope: &Envelope) {
        match new_name(envelope) {
            Some(name) => drop(self.names.insert(identity.clone(), name)),
            None => drop(self.names.remove(identity)),
        }
    }
}

/// The sealed part of an event, with its place.
pub fn new_name(envelope: &Envelope) -> Option<SealedAt> {
    envelope.sealed.clone().map(|sealed| SealedAt { room_version: envelope.room_version, sealed })
}
