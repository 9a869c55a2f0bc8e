//! An independent record of a room's events, which checks each event against the preceding ones: one leave for each join, one end
//! for each wait, no track without a session.

use std::collections::{BTreeMap, BTreeSet};

use crate::events::room::*;
use crate::events::time::Timestamp;
use crate::ids::{Identity, RecordingId, SessionId, TrackId};

#[derive(Clone)]
struct LedgerTrack {
    owner: Identity,
    session: SessionId,
    muted: bool,
    by_staff: bool,
}

#[derive(Default)]
pub struct Ledger {
    created: bool,
    ended: bool,
    stays: BTreeMap<SessionId, (Identity, Timestamp)>,
    stays_ended: BTreeSet<SessionId>,
    waiting: BTreeMap<Identity, SessionId>,
    admitted: Option<(Identity, SessionId)>,
    hands: Vec<Identity>,
    tracks: BTreeMap<TrackId, LedgerTrack>,
    recording: Option<RecordingId>,
    deleted: BTreeSet<u64>,
    banned: BTreeSet<Identity>,
}

impl Ledger {
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.stays.keys().copied()
    }

    pub fn tracks(&self) -> impl Iterator<Item = TrackId> {
        self.tracks.keys().copied()
    }

    pub fn recording(&self) -> Option<RecordingId> {
        self.recording
    }

    /// The earliest first.
    pub fn hands(&self) -> &[Identity] {
        &self.hands
    }

    pub fn present(&self) -> BTreeSet<&Identity> {
        self.stays.values().map(|(identity, _)| identity).collect()
    }

    pub fn stays_of(&self, who: &Identity) -> BTreeSet<SessionId> {
        self.stays.iter().filter(|(_, (identity, _))| identity == who).map(|(session, _)| *session).collect()
    }

    pub fn waiting(&self) -> &BTreeMap<Identity, SessionId> {
        &self.waiting
    }

    /// Who waits or is, or was, banned.
    pub fn outside(&self) -> impl Iterator<Item = &Identity> {
        self.waiting.keys().chain(&self.banned)
    }

    fn is_present(&self, who: &Identity) -> bool {
        self.stays.values().any(|(identity, _)| identity == who)
    }

    pub fn enter(&mut self, event: &RoomEvent, now: Timestamp) {
        assert!(!self.ended, "{event:?} after the end");
        assert_eq!(self.created, !matches!(event, RoomEvent::RoomCreated(_)), "{event:?}");
        if let Some(admitted) = self.admitted.take() {
            let RoomEvent::ParticipantJoined(joined) = event else { panic!("admitted, then {event:?}") };
            assert_eq!((joined.identity.clone(), joined.session), admitted);
        }
        match event {
            RoomEvent::RoomCreated(_) => self.created = true,
            RoomEvent::RoomEnded(_) => {
                assert!(self.stays.is_empty() && self.waiting.is_empty(), "somebody is left behind");
                self.ended = true;
                self.recording = None;
            }
            RoomEvent::ParticipantWaiting(_)
            | RoomEvent::ParticipantAdmitted(_)
            | RoomEvent::ParticipantDenied(_)
            | RoomEvent::ParticipantJoined(_)
            | RoomEvent::ParticipantLeft(_) => self.come_and_go(event, now),
            RoomEvent::HandRaised(HandRaised { identity }) => {
                assert!(self.is_present(identity) && !self.hands.contains(identity));
                self.hands.push(identity.clone());
            }
            RoomEvent::HandLowered(HandLowered { identity }) => {
                assert!(self.hands.contains(identity));
                self.hands.retain(|other| other != identity);
            }
            RoomEvent::TrackPublished(_)
            | RoomEvent::TrackUnpublished(_)
            | RoomEvent::TrackMuted(_)
            | RoomEvent::TrackUnmuted(_)
            | RoomEvent::UnmuteAllowed(_) => self.media(event),
            RoomEvent::RecordingStarted(started) => assert_eq!(self.recording.replace(started.recording), None),
            RoomEvent::RecordingStopped(stopped) => assert_eq!(self.recording.take(), Some(stopped.recording)),
            RoomEvent::RecordingFailed(failed) => assert_eq!(self.recording.take(), Some(failed.recording)),
            RoomEvent::MessageSent(sent) => assert!(self.is_present(&sent.author)),
            RoomEvent::MessageEdited(edited) => assert!(!self.deleted.contains(&edited.message)),
            RoomEvent::MessageDeleted(deleted) => assert!(self.deleted.insert(deleted.message), "deleted twice"),
            RoomEvent::RoleChanged(changed) => {
                assert!(self.is_present(&changed.identity) && changed.from != changed.to);
            }
            RoomEvent::HostTransferred(transferred) => assert!(self.is_present(&transferred.to)),
            RoomEvent::SpotlightSet(set) => assert!(self.is_present(&set.identity)),
            RoomEvent::ParticipantRenamed(renamed) => assert!(self.is_present(&renamed.identity)),
            RoomEvent::ParticipantMetadataSet(set) => assert!(self.is_present(&set.identity)),
            RoomEvent::SettingsChanged(_)
            | RoomEvent::RoomOpened(_)
            | RoomEvent::RoomLocked(_)
            | RoomEvent::RoomUnlocked(_)
            | RoomEvent::SpotlightCleared(_) => {}
            RoomEvent::IdentityBanned(banned) => drop(self.banned.insert(banned.identity.clone())),
            RoomEvent::IdentityUnbanned(unbanned) => assert!(self.banned.remove(&unbanned.identity)),
            RoomEvent::PersonErased(_) => panic!("no command to a room erases anybody"),
        }
    }

    fn come_and_go(&mut self, event: &RoomEvent, now: Timestamp) {
        match event {
            RoomEvent::ParticipantWaiting(waiting) => {
                let older = self.waiting.insert(waiting.identity.clone(), waiting.session);
                assert_eq!(older, None, "{} waits already", waiting.identity);
                assert!(!self.is_present(&waiting.identity));
            }
            RoomEvent::ParticipantAdmitted(admitted) => {
                assert_eq!(self.waiting.remove(&admitted.identity), Some(admitted.session));
                self.admitted = Some((admitted.identity.clone(), admitted.session));
            }
            RoomEvent::ParticipantDenied(denied) => {
                assert_eq!(self.waiting.remove(&denied.identity), Some(denied.session));
            }
            RoomEvent::ParticipantJoined(joined) => {
                assert!(!self.waiting.contains_key(&joined.identity), "{} waits and is present", joined.identity);
                assert!(!self.stays_ended.contains(&joined.session), "a stay begins once");
                let older = self.stays.insert(joined.session, (joined.identity.clone(), now));
                assert_eq!(older, None, "a stay begins once");
            }
            RoomEvent::ParticipantLeft(left) => {
                let (identity, joined_at) = self.stays.remove(&left.session).expect("one leave for each join");
                assert_eq!((identity, now.seconds_since(joined_at)), (left.identity.clone(), left.seconds));
                self.stays_ended.insert(left.session);
                self.tracks.retain(|_, track| track.session != left.session);
                if !self.is_present(&left.identity) {
                    self.hands.retain(|other| *other != left.identity);
                }
            }
            other => panic!("{other:?} is entered elsewhere"),
        }
    }

    fn media(&mut self, event: &RoomEvent) {
        match event {
            RoomEvent::TrackPublished(TrackPublished { track, identity, session, kind, source, muted, .. }) => {
                let stay = self.stays.get(session).map(|(identity, _)| identity);
                assert_eq!(stay, Some(identity), "a track belongs to a stay of its owner");
                assert_eq!(*kind, source.kind());
                let entry = LedgerTrack { owner: identity.clone(), session: *session, muted: *muted, by_staff: false };
                assert!(self.tracks.insert(*track, entry).is_none(), "a track begins once");
            }
            RoomEvent::TrackUnpublished(ended) => assert!(self.tracks.remove(&ended.track).is_some()),
            RoomEvent::TrackMuted(muted) => {
                let track = self.tracks.get_mut(&muted.track).expect("a track");
                assert!(if muted.by_staff { !track.by_staff } else { !track.muted }, "muted twice");
                track.muted = true;
                track.by_staff |= muted.by_staff;
            }
            RoomEvent::TrackUnmuted(unmuted) => {
                let track = self.tracks.get_mut(&unmuted.track).expect("a track");
                assert!(track.muted && !track.by_staff, "unmuted twice, or in spite of staff");
                track.muted = false;
            }
            RoomEvent::UnmuteAllowed(allowed) => {
                assert!(self.is_present(&allowed.identity));
                let own = self.tracks.values_mut().filter(|track| track.owner == allowed.identity);
                own.for_each(|track| track.by_staff = false);
            }
            other => panic!("{other:?} is entered elsewhere"),
        }
    }
}
