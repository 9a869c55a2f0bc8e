//! The size of a state, for the limit of the states in memory and the interval of snapshots.

use std::mem::size_of_val;

use super::{OpenState, Room};
use crate::events::heap;
use crate::events::sealed::SealedAt;

/// What an entry with its numbers and ids takes in a snapshot, texts and sealed parts apart.
const STORED_ENTRY: usize = 48;
/// The same of a room without anything in it.
const STORED_ROOM: usize = 256;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateSize {
    /// Bytes that it takes in memory, at most.
    pub memory: usize,
    /// Bytes that a snapshot of it takes, about.
    pub stored: usize,
}

impl StateSize {
    pub(super) fn text(&mut self, length: usize) {
        self.memory += heap::text(length);
        self.stored += length;
    }

    /// A tree of so many entries of the type `T`.
    pub(super) fn tree<T>(&mut self, entries: usize) {
        self.memory += heap::tree(entries, size_of::<T>());
        self.stored += entries * STORED_ENTRY;
    }

    pub(super) fn list<T>(&mut self, items: &[T]) {
        self.memory += heap::list(items.len(), size_of::<T>());
        self.stored += items.len() * STORED_ENTRY;
    }

    pub(super) fn sealed(&mut self, part: Option<&SealedAt>) {
        if let Some(part) = part {
            self.text(part.sealed.0.len());
        }
    }
}

impl Room {
    /// Looks at all of it: the bigger it is, the longer that takes.
    pub fn size(&self) -> StateSize {
        let mut size = StateSize { memory: size_of_val(self), stored: STORED_ROOM };
        match self {
            Room::Absent => return StateSize::default(),
            Room::Scheduled(room) => {
                size.memory += size_of_val(&**room);
                room.config.add_size(&mut size);
            }
            Room::Open(room) => {
                size.memory += size_of_val(&**room);
                room.add_size(&mut size);
            }
            Room::Ended(room) => {
                size.memory += size_of_val(&**room);
                room.config.add_size(&mut size);
            }
        }
        size
    }
}

impl OpenState {
    fn add_size(&self, size: &mut StateSize) {
        self.config.add_size(size);
        self.people.add_size(size);
        self.tracks.add_size(size);
        self.hands.add_size(size);
        self.deleted_messages.add_size(size);
        if let Some(spotlight) = &self.spotlight {
            size.text(spotlight.as_str().len());
        }
    }
}
