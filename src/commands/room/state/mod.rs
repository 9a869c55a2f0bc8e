//! The state of a room, as far as rules need it: a fold of its events.
//!
//! [`Room::evolve`] cannot fail, because an event in the log is a fact. An event that contradicts the state changes nothing. Each
//! step takes time logarithmic in the number of people and shares unchanged parts. Personal fields stay sealed, and no rule reads
//! them.
//!
//! Snapshots are serialised states. A change of the serialised form, or of the effect of an event, needs a new [`STATE_SHAPE`]:
//! older snapshots are then ignored, and the room is folded again.

mod deadlines;
mod hands;
mod messages;
mod people;
mod room_config;
mod size;
mod tracks;
mod views;

pub use deadlines::{DEADLINES, DueTransition};
pub use hands::RaisedHands;
pub use messages::{DeletedMessages, KEPT, MessageStatus};
pub use people::{People, PersonalParts, PresentPerson, RoomSession, Waiter};
pub use room_config::{MAX_BANS, RoomConfig};
pub use size::StateSize;
pub use tracks::{Track, Tracks};
pub use views::{ShownParticipant, ShownWaiter};

use serde::{Deserialize, Serialize};

use crate::commands::refusal::{Refusal, RefusalCode};
use crate::events::room::{EndReason, MAX_PARTICIPANTS, ParticipantLeft, RoomEvent};
use crate::events::sealed::Sealed;
use crate::events::time::Timestamp;
use crate::ids::{Identity, RecordingId, RoomVersion, SessionId};

/// Which shape of the state a snapshot has.
pub const STATE_SHAPE: u16 = 2;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Room {
    /// Nothing has happened under this id.
    #[default]
    Absent,
    Scheduled(Box<ScheduledState>),
    Open(Box<OpenState>),
    Ended(Box<EndedState>),
}

/// It opens at its time, or when asked to. Nobody is in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduledState {
    #[serde(rename = "charter")]
    pub config: RoomConfig,
    pub opens_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenState {
    #[serde(rename = "charter")]
    pub config: RoomConfig,
    pub opened_at: Timestamp,
    pub people: People,
    pub tracks: Tracks,
    pub hands: RaisedHands,
    /// Somebody present.
    pub spotlight: Option<Identity>,
    pub recording: Option<Recording>,
    pub deleted_messages: DeletedMessages,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedState {
    #[serde(rename = "charter")]
    pub config: RoomConfig,
    /// `None`: cancelled before it opened.
    pub opened_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub reason: EndReason,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    pub recording: RecordingId,
    pub started_at: Timestamp,
}

impl Room {
    /// The room after one more of its events: the one at `version`, which happened at `happened_at`.
    pub fn evolve(
        self,
        version: RoomVersion,
        happened_at: Timestamp,
        event: &RoomEvent,
        sealed: Option<&Sealed>,
    ) -> Room {
        match (self, event) {
            (Room::Absent, RoomEvent::RoomCreated(created)) => {
                let config = RoomConfig::new(created, happened_at);
                match created.opens_at {
                    Some(opens_at) => Room::Scheduled(Box::new(ScheduledState { config, opens_at })),
                    None => Room::Open(Box::new(OpenState::new(config, happened_at))),
                }
            }
            (Room::Scheduled(room), RoomEvent::RoomOpened(_)) => {
                Room::Open(Box::new(OpenState::new(room.config, happened_at)))
            }
            (Room::Scheduled(room), RoomEvent::RoomEnded(ended)) => {
                Room::Ended(Box::new(EndedState::new(room.config, None, happened_at, ended.reason)))
            }
            (Room::Open(room), RoomEvent::RoomEnded(ended)) => {
                Room::Ended(Box::new(EndedState::new(room.config, Some(room.opened_at), happened_at, ended.reason)))
            }
            (Room::Scheduled(mut room), event) => {
                room.config.apply(happened_at, event);
                Room::Scheduled(room)
            }
            (Room::Open(mut room), event) => {
                room.apply(version, happened_at, event, sealed);
                Room::Open(room)
            }
            (room @ (Room::Absent | Room::Ended(_)), _) => room,
        }
    }

    /// The open room, or why it takes no command of those who are in it.
    pub fn open(&self) -> Result<&OpenState, Refusal> {
        match self {
            Room::Open(room) => Ok(room),
            Room::Absent => Err(absent()),
            Room::Ended(_) => Err(has_ended()),
            Room::Scheduled(room) => {
                Err(Refusal::new(RefusalCode::RoomNotOpen, format!("the room opens at {}", room.opens_at)))
            }
        }
    }

    /// What holds for the room, scheduled or open, or why it takes no command at all.
    pub fn unended(&self) -> Result<&RoomConfig, Refusal> {
        match self {
            Room::Scheduled(room) => Ok(&room.config),
            Room::Open(room) => Ok(&room.config),
            Room::Absent => Err(absent()),
            Room::Ended(_) => Err(has_ended()),
        }
    }

    /// Of any room that was ever created.
    pub fn config(&self) -> Option<&RoomConfig> {
        match self {
            Room::Absent => None,
            Room::Scheduled(room) => Some(&room.config),
            Room::Open(room) => Some(&room.config),
            Room::Ended(room) => Some(&room.config),
        }
    }

    /// Whether the person was removed from the room or banned from it, and has not joined since.
    pub fn was_put_out(&self, identity: &Identity) -> bool {
        self.config().is_some_and(|config| config.put_out.contains(identity))
    }

    /// The person's stay in the room now; the newest where there are several.
    pub fn session_of(&self, identity: &Identity) -> Option<SessionId> {
        match self {
            Room::Open(room) => room.people.get(identity)?.sessions.last().map(|stay| stay.session),
            Room::Absent | Room::Scheduled(_) | Room::Ended(_) => None,
        }
    }
}

fn absent() -> Refusal {
    Refusal::new(RefusalCode::RoomNotFound, "there is no room with this id")
}

fn has_ended() -> Refusal {
    Refusal::new(RefusalCode::RoomEnded, "the room has ended")
}

impl EndedState {
    fn new(mut config: RoomConfig, opened_at: Option<Timestamp>, ended_at: Timestamp, reason: EndReason) -> Self {
        config.end();
        Self { config, opened_at, ended_at, reason }
    }
}

impl OpenState {
    fn new(config: RoomConfig, opened_at: Timestamp) -> Self {
        Self {
            config,
            opened_at,
            people: People::nobody(opened_at),
            tracks: Tracks::default(),
            hands: RaisedHands::default(),
            spotlight: None,
            recording: None,
            deleted_messages: DeletedMessages::default(),
        }
    }

    /// The person, if present.
    pub fn present(&self, identity: &Identity) -> Result<&PresentPerson, Refusal> {
        self.people
            .get(identity)
            .ok_or_else(|| Refusal::new(RefusalCode::NotPresent, format!("{} is not in the room", identity.quoted())))
    }

    /// How many more people may come in.
    pub fn places(&self) -> usize {
        let most = self.config.settings.max_participants.unwrap_or(MAX_PARTICIPANTS);
        (most as usize).saturating_sub(self.people.count())
    }

    fn apply(&mut self, version: RoomVersion, at: Timestamp, event: &RoomEvent, sealed: Option<&Sealed>) {
        match event {
            RoomEvent::SettingsChanged(_)
            | RoomEvent::RoomLocked(_)
            | RoomEvent::RoomUnlocked(_)
            | RoomEvent::IdentityBanned(_)
            | RoomEvent::IdentityUnbanned(_) => self.config.apply(at, event),

            RoomEvent::ParticipantWaiting(event) => self.people.wait(version, at, event, sealed),
            RoomEvent::ParticipantAdmitted(event) => self.people.admit(event),
            RoomEvent::ParticipantDenied(event) => self.people.deny(event),
            RoomEvent::ParticipantJoined(joined) => {
                self.config.apply(at, event);
                self.people.join(version, at, joined, sealed);
            }
            RoomEvent::ParticipantLeft(left) => {
                self.config.apply(at, event);
                self.left(at, left);
            }
            RoomEvent::ParticipantRenamed(event) => self.people.renamed(version, &event.identity, sealed),
            RoomEvent::ParticipantMetadataSet(event) => self.people.metadata_set(version, &event.identity, sealed),
            RoomEvent::RoleChanged(event) => self.people.set_role(&event.identity, event.to),
            RoomEvent::HostTransferred(event) => self.people.transfer_host(event.from.as_ref(), &event.to),

            RoomEvent::HandRaised(event) => self.hands.raise(version, &event.identity),
            RoomEvent::HandLowered(event) => self.hands.lower(&event.identity),
            RoomEvent::SpotlightSet(event) => self.spotlight = Some(event.identity.clone()),
            RoomEvent::SpotlightCleared(_) => self.spotlight = None,

            RoomEvent::TrackPublished(event) => self.tracks.publish(event),
            RoomEvent::TrackUnpublished(event) => self.tracks.unpublish(event.track),
            RoomEvent::TrackMuted(event) => self.tracks.mute(event.track, event.by_staff),
            RoomEvent::TrackUnmuted(event) => self.tracks.unmute(event.track),
            RoomEvent::UnmuteAllowed(event) => self.tracks.allow_unmute(&event.identity),

            RoomEvent::RecordingStarted(event) => {
                self.recording = Some(Recording { recording: event.recording, started_at: at });
            }
            RoomEvent::RecordingStopped(_) | RoomEvent::RecordingFailed(_) => self.recording = None,

            RoomEvent::MessageDeleted(event) => self.deleted_messages.delete(event.message),
            // Texts are not part of the state; what rules ask about a message is looked up.
            RoomEvent::MessageSent(_) | RoomEvent::MessageEdited(_) => {}

            // Handled where states change into one another.
            RoomEvent::RoomCreated(_) | RoomEvent::RoomOpened(_) | RoomEvent::RoomEnded(_) => {}
            // Of the tenant itself, in no room.
            RoomEvent::PersonErased(_) => {}
        }
    }

    /// The stay's tracks end; with the person's last stay, the hand falls and the spotlight clears.
    fn left(&mut self, at: Timestamp, event: &ParticipantLeft) {
        self.people.leave(at, &event.identity, event.session);
        self.tracks.end_session(&event.identity, event.session);
        if self.people.get(&event.identity).is_none() {
            self.tracks.forget(&event.identity);
            self.hands.lower(&event.identity);
            if self.spotlight.as_ref() == Some(&event.identity) {
                self.spotlight = None;
            }
        }
    }
}

#[cfg(test)]
mod tests;
