//! For whom an event is. One match over all events, so that a new one does not compile before this is decided.

use super::{Audience, RoomEvent};
use crate::ids::{Identity, RoomVersion};

/// Who gets an event, besides holders of `room_admin`, who get every event whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EventAudience<'a> {
    /// Whoever may look into the room.
    Everyone,
    /// Staff and the person in the lobby get it whole; the others learn that it happened to somebody, without who.
    Lobby(&'a Identity),
    /// Those whom a message is for, and its author.
    Message { author: &'a Identity, to: &'a Audience },
    /// Those whom the message is for that was sent at this version.
    OfMessage(RoomVersion),
}

impl RoomEvent {
    pub fn audience(&self) -> EventAudience<'_> {
        match self {
            RoomEvent::ParticipantWaiting(event) => EventAudience::Lobby(&event.identity),
            RoomEvent::ParticipantDenied(event) => EventAudience::Lobby(&event.identity),

            RoomEvent::MessageSent(event) => EventAudience::Message { author: &event.author, to: &event.to },
            RoomEvent::MessageEdited(event) => EventAudience::Message { author: &event.author, to: &event.to },
            RoomEvent::MessageDeleted(event) => EventAudience::OfMessage(event.message),

            RoomEvent::RoomCreated(_)
            | RoomEvent::SettingsChanged(_)
            | RoomEvent::RoomOpened(_)
            | RoomEvent::RoomEnded(_)
            | RoomEvent::RoomLocked(_)
            | RoomEvent::RoomUnlocked(_)
            // The join follows in the same append: who was let in is there for all to see.
            | RoomEvent::ParticipantAdmitted(_)
            | RoomEvent::ParticipantJoined(_)
            | RoomEvent::ParticipantLeft(_)
            | RoomEvent::ParticipantRenamed(_)
            | RoomEvent::ParticipantMetadataSet(_)
            | RoomEvent::RoleChanged(_)
            | RoomEvent::HostTransferred(_)
            | RoomEvent::IdentityBanned(_)
            | RoomEvent::IdentityUnbanned(_)
            | RoomEvent::HandRaised(_)
            | RoomEvent::HandLowered(_)
            | RoomEvent::SpotlightSet(_)
            | RoomEvent::SpotlightCleared(_)
            | RoomEvent::TrackPublished(_)
            | RoomEvent::TrackUnpublished(_)
            | RoomEvent::TrackMuted(_)
            | RoomEvent::TrackUnmuted(_)
            | RoomEvent::UnmuteAllowed(_)
            | RoomEvent::RecordingStarted(_)
            | RoomEvent::RecordingStopped(_)
            | RoomEvent::RecordingFailed(_)
            | RoomEvent::PersonErased(_) => EventAudience::Everyone,
        }
    }
}
