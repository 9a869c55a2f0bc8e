//! The part of a room's state that does not depend on people: its name, settings, lock and bans.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::StateSize;
use crate::events::room::{LeaveReason, RoomCreated, RoomEvent, Settings};
use crate::events::time::Timestamp;
use crate::ids::Identity;

/// Bans in force at once in one room.
pub const MAX_BANS: usize = 10_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomConfig {
    pub name: Option<String>,
    pub created_at: Timestamp,
    /// When it was to open, of a room that was scheduled.
    pub opens_at: Option<Timestamp>,
    pub settings: Settings,
    pub locked: bool,
    /// Until when; `None`: for as long as the room is.
    pub bans: BTreeMap<Identity, Option<Timestamp>>,
    /// Who was removed or banned and has not joined since, whether the ban still stands or not. It outlives the room: they do
    /// not read what came after.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub put_out: BTreeSet<Identity>,
}

impl RoomConfig {
    pub(super) fn new(created: &RoomCreated, at: Timestamp) -> Self {
        Self {
            name: created.name.clone(),
            created_at: at,
            opens_at: created.opens_at,
            settings: created.settings.clone(),
            locked: false,
            bans: BTreeMap::new(),
            put_out: BTreeSet::new(),
        }
    }

    /// Whether the person is banned at `now`.
    pub fn is_banned(&self, identity: &Identity, now: Timestamp) -> bool {
        self.bans.get(identity).is_some_and(|until| in_force(*until, now))
    }

    /// Whether one more ban would be one too many at `now`.
    pub fn bans_are_full(&self, now: Timestamp) -> bool {
        self.bans.len() >= MAX_BANS && self.bans.values().filter(|until| in_force(**until, now)).count() >= MAX_BANS
    }

    pub(super) fn apply(&mut self, at: Timestamp, event: &RoomEvent) {
        match event {
            RoomEvent::SettingsChanged(event) => self.settings.apply(&event.changed),
            RoomEvent::RoomLocked(_) => self.locked = true,
            RoomEvent::RoomUnlocked(_) => self.locked = false,
            RoomEvent::IdentityBanned(event) => {
                // Bans that ran out are swept when there are many, so that their number stays bounded.
                if self.bans.len() >= MAX_BANS {
                    self.bans.retain(|_, until| in_force(*until, at));
                }
                self.bans.insert(event.identity.clone(), event.until);
                self.put_out.insert(event.identity.clone());
            }
            RoomEvent::IdentityUnbanned(event) => {
                self.bans.remove(&event.identity);
            }
            RoomEvent::ParticipantLeft(event) if matches!(event.reason, LeaveReason::Removed | LeaveReason::Banned) => {
                self.put_out.insert(event.identity.clone());
            }
            RoomEvent::ParticipantJoined(event) => {
                self.put_out.remove(&event.identity);
            }
            _ => {}
        }
    }

    pub(super) fn add_size(&self, size: &mut StateSize) {
        size.memory += self.settings.heap_bytes();
        size.stored += self.settings.metadata.text().len();
        self.settings.labels.iter().for_each(|(key, value)| size.stored += key.len() + value.len());
        if let Some(name) = &self.name {
            size.text(name.len());
        }
        size.tree::<(Identity, Option<Timestamp>)>(self.bans.len());
        self.bans.keys().for_each(|identity| size.text(identity.as_str().len()));
    }

    /// A lock and bans end with the room.
    pub(super) fn end(&mut self) {
        self.locked = false;
        self.bans.clear();
    }
}

fn in_force(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_none_or(|until| until > now)
}
