//! Published tracks with their owners, and mutes by staff.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::StateSize;
use crate::events::room::{TrackKind, TrackPublished, TrackSource};
use crate::ids::{Identity, SessionId, TrackId};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tracks {
    all: BTreeMap<TrackId, Track>,
    of: BTreeMap<Identity, BTreeSet<TrackId>>,
    /// Those of source `screen`.
    screens: BTreeSet<TrackId>,
    /// What staff muted of whom and has not released. Outlives the track, so that publishing anew is no way around it; ends
    /// when the person leaves.
    held: BTreeMap<Identity, BTreeSet<TrackSource>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    pub identity: Identity,
    pub session: SessionId,
    pub kind: TrackKind,
    pub source: TrackSource,
    pub codec: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    pub muted: bool,
    /// Muted by staff and not released.
    pub muted_by_staff: bool,
}

impl Tracks {
    pub fn get(&self, track: TrackId) -> Option<&Track> {
        self.all.get(&track)
    }

    /// All, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (TrackId, &Track)> {
        self.all.iter().map(|(id, track)| (*id, track))
    }

    /// One person's, by id.
    pub fn of(&self, identity: &Identity) -> impl Iterator<Item = (TrackId, &Track)> {
        let ids = self.of.get(identity).into_iter().flatten();
        ids.filter_map(|id| self.all.get(id).map(|track| (*id, track)))
    }

    pub fn count_of(&self, identity: &Identity) -> usize {
        self.of.get(identity).map_or(0, BTreeSet::len)
    }

    /// Shared screens, by id.
    pub fn screens(&self) -> impl ExactSizeIterator<Item = TrackId> {
        self.screens.iter().copied()
    }

    /// Whether staff muted such a track of the person and has not released it.
    pub fn is_held(&self, identity: &Identity, source: TrackSource) -> bool {
        self.held.get(identity).is_some_and(|sources| sources.contains(&source))
    }

    /// Whether staff holds anything of the person muted.
    pub fn holds_any(&self, identity: &Identity) -> bool {
        self.held.contains_key(identity)
    }

    pub(super) fn add_size(&self, size: &mut StateSize) {
        size.tree::<(TrackId, Track)>(self.all.len());
        size.tree::<TrackId>(self.screens.len());
        size.tree::<(Identity, BTreeSet<TrackId>)>(self.of.len());
        size.tree::<(Identity, BTreeSet<TrackSource>)>(self.held.len());
        self.of.values().for_each(|tracks| size.tree::<TrackId>(tracks.len()));
        self.held.values().for_each(|sources| size.tree::<TrackSource>(sources.len()));
        self.of.keys().chain(self.held.keys()).for_each(|identity| size.text(identity.as_str().len()));
        for track in self.all.values() {
            size.text(track.identity.as_str().len());
            size.text(track.codec.as_ref().map_or(0, String::len));
        }
    }

    pub(super) fn publish(&mut self, event: &TrackPublished) {
        let track = Track {
            identity: event.identity.clone(),
            session: event.session,
            kind: event.kind,
            source: event.source,
            codec: event.codec.clone(),
            width: event.width,
            height: event.height,
            muted: event.muted,
            muted_by_staff: false,
        };
        self.all.insert(event.track, track);
        self.of.entry(event.identity.clone()).or_default().insert(event.track);
        if event.source == TrackSource::Screen {
            self.screens.insert(event.track);
        }
    }

    pub(super) fn unpublish(&mut self, id: TrackId) {
        let Some(track) = self.all.remove(&id) else { return };
        self.screens.remove(&id);
        if let Some(own) = self.of.get_mut(&track.identity) {
            own.remove(&id);
            if own.is_empty() {
                self.of.remove(&track.identity);
            }
        }
    }

    pub(super) fn mute(&mut self, id: TrackId, by_staff: bool) {
        let Some(track) = self.all.get_mut(&id) else { return };
        track.muted = true;
        if by_staff {
            track.muted_by_staff = true;
            self.held.entry(track.identity.clone()).or_default().insert(track.source);
        }
    }

    pub(super) fn unmute(&mut self, id: TrackId) {
        if let Some(track) = self.all.get_mut(&id) {
            track.muted = false;
            track.muted_by_staff = false;
        }
    }

    pub(super) fn allow_unmute(&mut self, identity: &Identity) {
        self.held.remove(identity);
        for id in self.of.get(identity).into_iter().flatten() {
            if let Some(track) = self.all.get_mut(id) {
                track.muted_by_staff = false;
            }
        }
    }

    /// A stay ended, and its tracks with it.
    pub(super) fn end_session(&mut self, identity: &Identity, session: SessionId) {
        let ended: Vec<TrackId> =
            self.of(identity).filter(|(_, track)| track.session == session).map(|(id, _)| id).collect();
        for id in ended {
            self.unpublish(id);
        }
    }

    /// The person is gone.
    pub(super) fn forget(&mut self, identity: &Identity) {
        self.held.remove(identity);
    }
}
