//! The people in a room: those present, the lobby, and the hosts.
//!
//! A person counts once, with any number of sessions. The role belongs to the person, not to the session.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::StateSize;
use crate::events::room::{ParticipantAdmitted, ParticipantDenied, ParticipantJoined, ParticipantWaiting, Role};
use crate::events::sealed::{Sealed, SealedAt};
use crate::events::time::Timestamp;
use crate::ids::{Identity, RoomVersion, SessionId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct People {
    present: BTreeMap<Identity, PresentPerson>,
    waiting: BTreeMap<Identity, Waiter>,
    /// What the lobby knew of people between their admission and their join, which follows in the same append.
    admitted: BTreeMap<Identity, Option<SealedAt>>,
    /// Present hosts by the version of their join: the longest present first.
    hosts: BTreeMap<RoomVersion, Identity>,
    /// Present moderators, likewise.
    moderators: BTreeMap<RoomVersion, Identity>,
    /// Since when nobody is present.
    empty_since: Option<Timestamp>,
}

/// Somebody present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PresentPerson {
    pub role: Role,
    /// Version of the join since which they have been there without a break.
    pub since: RoomVersion,
    pub present_since: Timestamp,
    /// At least one; the earliest first.
    pub sessions: Vec<RoomSession>,
    pub personal: PersonalParts,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomSession {
    pub session: SessionId,
    pub joined_at: Timestamp,
}

/// Where the personal fields of somebody present lie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PersonalParts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at_join: Option<SealedAt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    renamed: Option<SealedAt>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata_set: Option<SealedAt>,
}

impl PersonalParts {
    /// The part whose `display_name` is the newest; that field may be absent in it.
    pub fn name(&self) -> Option<&SealedAt> {
        self.renamed.as_ref().or(self.at_join.as_ref())
    }

    /// The part whose `metadata` is the newest; that field may be absent in it.
    pub fn metadata(&self) -> Option<&SealedAt> {
        self.metadata_set.as_ref().or(self.at_join.as_ref())
    }
}

/// Somebody in the lobby.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Waiter {
    /// The stay that begins when they are admitted.
    pub session: SessionId,
    pub role: Role,
    /// Version of the request: the order in which people asked.
    pub since: RoomVersion,
    pub waiting_since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal: Option<SealedAt>,
}

impl People {
    pub(super) fn nobody(since: Timestamp) -> Self {
        Self {
            present: BTreeMap::new(),
            waiting: BTreeMap::new(),
            admitted: BTreeMap::new(),
            hosts: BTreeMap::new(),
            moderators: BTreeMap::new(),
            empty_since: Some(since),
        }
    }

    pub fn get(&self, identity: &Identity) -> Option<&PresentPerson> {
        self.present.get(identity)
    }

    /// People present, each counted once.
    pub fn count(&self) -> usize {
        self.present.len()
    }

    /// By identity.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Identity, &PresentPerson)> {
        self.present.iter()
    }

    /// Identities of those present behind one of them, in order.
    pub fn after(&self, identity: Option<&Identity>) -> impl Iterator<Item = &Identity> {
        let begin = identity.map_or(Bound::Unbounded, Bound::Excluded);
        self.present.range((begin, Bound::Unbounded)).map(|(identity, _)| identity)
    }

    pub fn waiter(&self, identity: &Identity) -> Option<&Waiter> {
        self.waiting.get(identity)
    }

    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Who waits, in the order in which they asked.
    pub fn waiting(&self) -> Vec<(&Identity, &Waiter)> {
        let mut waiting: Vec<_> = self.waiting.iter().collect();
        waiting.sort_by_key(|(_, waiter)| waiter.since);
        waiting
    }

    /// The longest present first.
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = &Identity> {
        self.hosts.values()
    }

    /// The longest present first.
    pub fn moderators(&self) -> impl ExactSizeIterator<Item = &Identity> {
        self.moderators.values()
    }

    /// Whether this person is host and nobody else is.
    pub fn is_only_host(&self, identity: &Identity) -> bool {
        self.hosts.len() == 1 && self.hosts.values().next() == Some(identity)
    }

    pub fn empty_since(&self) -> Option<Timestamp> {
        self.empty_since
    }

    pub(super) fn wait(
        &mut self,
        version: RoomVersion,
        at: Timestamp,
        event: &ParticipantWaiting,
        sealed: Option<&Sealed>,
    ) {
        let waiter = Waiter {
            session: event.session,
            role: event.role,
            since: version,
            waiting_since: at,
            personal: sealed_at(version, sealed),
        };
        self.waiting.insert(event.identity.clone(), waiter);
    }

    pub(super) fn admit(&mut self, event: &ParticipantAdmitted) {
        if let Some(waiter) = self.waiting.remove(&event.identity) {
            self.admitted.insert(event.identity.clone(), waiter.personal);
        }
    }

    pub(super) fn deny(&mut self, event: &ParticipantDenied) {
        self.waiting.remove(&event.identity);
    }

    /// Personal fields that come with a join replace all that was known; a join without any leaves the person's as they are.
    pub(super) fn join(
        &mut self,
        version: RoomVersion,
        at: Timestamp,
        event: &ParticipantJoined,
        sealed: Option<&Sealed>,
    ) {
        let from_lobby = self.admitted.remove(&event.identity).flatten();
        let at_join = sealed_at(version, sealed).or(from_lobby);
        let stay = RoomSession { session: event.session, joined_at: at };
        self.empty_since = None;
        match self.present.get_mut(&event.identity) {
            Some(person) => {
                person.sessions.push(stay);
                if at_join.is_some() {
                    person.personal = PersonalParts { at_join, ..PersonalParts::default() };
                }
            }
            None => {
                let person = PresentPerson {
                    role: event.role,
                    since: version,
                    present_since: at,
                    sessions: vec![stay],
                    personal: PersonalParts { at_join, ..PersonalParts::default() },
                };
                self.present.insert(event.identity.clone(), person);
                self.enlist(event.role, version, &event.identity);
            }
        }
    }

    pub(super) fn leave(&mut self, at: Timestamp, identity: &Identity, session: SessionId) {
        let Some(person) = self.present.get_mut(identity) else { return };
        person.sessions.retain(|stay| stay.session != session);
        if person.sessions.is_empty() {
            let (role, since) = (person.role, person.since);
            self.present.remove(identity);
            self.strike(role, since);
            if self.present.is_empty() {
                self.empty_since = Some(at);
            }
        }
    }

    pub(super) fn renamed(&mut self, version: RoomVersion, identity: &Identity, sealed: Option<&Sealed>) {
        if let Some(person) = self.present.get_mut(identity) {
            person.personal.renamed = sealed_at(version, sealed);
        }
    }

    pub(super) fn metadata_set(&mut self, version: RoomVersion, identity: &Identity, sealed: Option<&Sealed>) {
        if let Some(person) = self.present.get_mut(identity) {
            person.personal.metadata_set = sealed_at(version, sealed);
        }
    }

    pub(super) fn set_role(&mut self, identity: &Identity, role: Role) {
        let Some(person) = self.present.get_mut(identity) else { return };
        let (old, since) = (person.role, person.since);
        person.role = role;
        self.strike(old, since);
        self.enlist(role, since, identity);
    }

    pub(super) fn transfer_host(&mut self, from: Option<&Identity>, to: &Identity) {
        if let Some(from) = from {
            self.set_role(from, Role::Moderator);
        }
        self.set_role(to, Role::Host);
    }

    pub(super) fn add_size(&self, size: &mut StateSize) {
        size.tree::<(Identity, PresentPerson)>(self.present.len());
        size.tree::<(Identity, Waiter)>(self.waiting.len());
        size.tree::<(Identity, Option<SealedAt>)>(self.admitted.len());
        size.tree::<(RoomVersion, Identity)>(self.hosts.len());
        size.tree::<(RoomVersion, Identity)>(self.moderators.len());
        let staff = self.hosts.values().chain(self.moderators.values());
        let others = self.waiting.keys().chain(self.admitted.keys());
        staff.chain(others).chain(self.present.keys()).for_each(|identity| size.text(identity.as_str().len()));
        for person in self.present.values() {
            size.list(&person.sessions);
            let PersonalParts { at_join, renamed, metadata_set } = &person.personal;
            [at_join, renamed, metadata_set].into_iter().for_each(|part| size.sealed(part.as_ref()));
        }
        self.waiting.values().for_each(|waiter| size.sealed(waiter.personal.as_ref()));
        self.admitted.values().for_each(|personal| size.sealed(personal.as_ref()));
    }

    fn enlist(&mut self, role: Role, since: RoomVersion, identity: &Identity) {
        match role {
            Role::Host => {
                self.hosts.insert(since, identity.clone());
            }
            Role::Moderator => {
                self.moderators.insert(since, identity.clone());
            }
            Role::Speaker | Role::Viewer => {}
        }
    }

    fn strike(&mut self, role: Role, since: RoomVersion) {
        match role {
            Role::Host => {
                self.hosts.remove(&since);
            }
            Role::Moderator => {
                self.moderators.remove(&since);
            }
            Role::Speaker | Role::Viewer => {}
        }
    }
}

fn sealed_at(room_version: RoomVersion, sealed: Option<&Sealed>) -> Option<SealedAt> {
    sealed.map(|sealed| SealedAt { room_version, sealed: sealed.clone() })
}
