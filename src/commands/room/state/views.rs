//! The view of a room state: the room as it was at a version.

use super::{EndedState, OpenState, Room, Waiter};
use crate::events::room::view::{
    ParticipantView, RecordingView, RoomStatus, RoomView, SessionView, TrackView, WaitingView,
};
use crate::events::sealed::SealedAt;
use crate::ids::{Identity, RoomId, RoomVersion};

/// Somebody present, and where the personal fields lie.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownParticipant {
    pub view: ParticipantView,
    /// Its `display_name`, which may be absent in it, is the person's.
    pub name: Option<SealedAt>,
    /// Its `metadata`, which may be absent in it, is the person's.
    pub metadata: Option<SealedAt>,
}

/// Somebody in the lobby, and where the personal fields lie.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownWaiter {
    pub view: WaitingView,
    pub personal: Option<SealedAt>,
}

impl Room {
    /// `None` for a room that does not exist.
    pub fn view(&self, id: RoomId, version: RoomVersion) -> Option<RoomView> {
        let config = self.config()?;
        let mut view = RoomView {
            id,
            version,
            status: RoomStatus::Scheduled,
            name: config.name.clone(),
            created_at: config.created_at,
            opens_at: config.opens_at,
            opened_at: None,
            ended_at: None,
            end_reason: None,
            settings: config.settings.clone(),
            locked: config.locked,
            participant_count: 0,
            waiting_count: 0,
            hands: Vec::new(),
            spotlight: None,
            recording: None,
        };
        match self {
            Room::Absent | Room::Scheduled(_) => {}
            Room::Open(room) => room.show(&mut view),
            Room::Ended(room) => room.show(&mut view),
        }
        Some(view)
    }

    /// Everybody present, by identity.
    pub fn participants(&self) -> Vec<ShownParticipant> {
        match self {
            Room::Open(room) => {
                room.people.iter().map(|(identity, _)| identity).filter_map(|i| room.participant(i)).collect()
            }
            Room::Absent | Room::Scheduled(_) | Room::Ended(_) => Vec::new(),
        }
    }

    /// Up to `limit` of those present behind an identity, by identity, and whether there are more.
    pub fn participants_after(&self, after: Option<&Identity>, limit: usize) -> (Vec<ShownParticipant>, bool) {
        let Room::Open(room) = self else { return (Vec::new(), false) };
        let mut identities = room.people.after(after);
        let page = identities.by_ref().take(limit).filter_map(|identity| room.participant(identity)).collect();
        (page, identities.next().is_some())
    }

    /// Up to `limit` of those in the lobby who asked behind a version, in the order in which they asked, each with that version.
    pub fn waiting_after(&self, after: Option<RoomVersion>, limit: usize) -> (Vec<(RoomVersion, ShownWaiter)>, bool) {
        let Room::Open(room) = self else { return (Vec::new(), false) };
        let waiting = room.people.waiting().into_iter();
        let mut behind = waiting.filter(|(_, waiter)| after.is_none_or(|after| waiter.since > after));
        let page =
            behind.by_ref().take(limit).map(|(identity, waiter)| (waiter.since, waiter.shown(identity))).collect();
        (page, behind.next().is_some())
    }

    /// Everybody in the lobby, in the order in which they asked.
    pub fn waiting(&self) -> Vec<ShownWaiter> {
        let Room::Open(room) = self else { return Vec::new() };
        room.people.waiting().into_iter().map(|(identity, waiter)| waiter.shown(identity)).collect()
    }
}

impl EndedState {
    fn show(&self, view: &mut RoomView) {
        view.status = RoomStatus::Ended;
        view.opened_at = self.opened_at;
        view.ended_at = Some(self.ended_at);
        view.end_reason = Some(self.reason);
    }
}

impl OpenState {
    fn show(&self, view: &mut RoomView) {
        view.status = RoomStatus::Open;
        view.opened_at = Some(self.opened_at);
        view.participant_count = self.people.count() as u64;
        view.waiting_count = self.people.waiting_count() as u64;
        view.hands = self.hands.in_order().cloned().collect();
        view.spotlight = self.spotlight.clone();
        view.recording = self
            .recording
            .as_ref()
            .map(|running| RecordingView { recording: running.recording, started_at: running.started_at });
    }

    /// One person present.
    pub fn participant(&self, identity: &Identity) -> Option<ShownParticipant> {
        let person = self.people.get(identity)?;
        let stays = person.sessions.iter();
        let view = ParticipantView {
            identity: identity.clone(),
            role: person.role,
            present_since: person.present_since,
            sessions: stays.map(|stay| SessionView { session: stay.session, joined_at: stay.joined_at }).collect(),
            hand_raised: self.hands.is_raised(identity),
            tracks: self.tracks.of(identity).map(|(id, track)| track.view(id)).collect(),
        };
        let (name, metadata) = (person.personal.name().cloned(), person.personal.metadata().cloned());
        Some(ShownParticipant { view, name, metadata })
    }
}

impl Waiter {
    fn shown(&self, identity: &Identity) -> ShownWaiter {
        let view = WaitingView {
            identity: identity.clone(),
            session: self.session,
            role: self.role,
            waiting_since: self.waiting_since,
        };
        ShownWaiter { view, personal: self.personal.clone() }
    }
}

impl super::Track {
    fn view(&self, track: crate::ids::TrackId) -> TrackView {
        TrackView {
            track,
            session: self.session,
            kind: self.kind,
            source: self.source,
            codec: self.codec.clone(),
            width: self.width,
            height: self.height,
            muted: self.muted,
            muted_by_staff: self.muted_by_staff,
        }
    }
}
