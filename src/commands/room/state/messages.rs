//! The deleted messages of a room. Texts, authors and audiences never change, so they are not part of the state, and rules look
//! them up. Whether a message is deleted changes, and two callers may ask at the same instant, so it is part of the state, on
//! which commands are decided one after another.
//!
//! The state is bounded: it keeps the [`KEPT`] deleted messages that were sent last. For a message older than all of those it is
//! unknown whether it was deleted, and the rules treat it safely ([`MessageStatus::Unknown`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::StateSize;
use crate::ids::RoomVersion;

/// Deleted messages that a room knows.
pub const KEPT: usize = 1024;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeletedMessages {
    known: BTreeSet<RoomVersion>,
    /// Up to this version it is not known of a message whether it was deleted, unless it is in `known`.
    unknown_up_to: RoomVersion,
}

/// What the room knows of a message that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStatus {
    There,
    Deleted,
    /// Sent before all the deleted messages that the room knows: it may have been deleted. Deleting it once more does no
    /// harm, editing it would.
    Unknown,
}

impl DeletedMessages {
    pub fn status(&self, message: RoomVersion) -> MessageStatus {
        if self.known.contains(&message) {
            MessageStatus::Deleted
        } else if message <= self.unknown_up_to {
            MessageStatus::Unknown
        } else {
            MessageStatus::There
        }
    }

    pub(super) fn add_size(&self, size: &mut StateSize) {
        size.tree::<RoomVersion>(self.known.len());
    }

    pub(super) fn delete(&mut self, message: RoomVersion) {
        if message > self.unknown_up_to {
            self.known.insert(message);
        }
        if self.known.len() > KEPT
            && let Some(forgotten) = self.known.pop_first()
        {
            self.unknown_up_to = forgotten;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deleted_messages_that_were_sent_last_are_known() {
        let mut deleted = DeletedMessages::default();
        let last = KEPT as RoomVersion + 10;
        // In whatever order they are deleted.
        for message in (1..=last).filter(|m| m % 2 == 0).chain((1..=last).filter(|m| m % 2 == 1).rev()) {
            deleted.delete(message);
        }
        assert_eq!(deleted.known.len(), KEPT);
        assert_eq!(deleted.status(last + 1), MessageStatus::There);
        assert_eq!(deleted.status(last), MessageStatus::Deleted);
        assert_eq!(deleted.status(11), MessageStatus::Deleted);
        assert_eq!(deleted.status(10), MessageStatus::Unknown);
    }

    #[test]
    fn no_number_of_deletions_of_old_messages_makes_the_state_grow() {
        let mut deleted = DeletedMessages::default();
        (1..=2 * KEPT as RoomVersion).for_each(|message| deleted.delete(message));
        let before = deleted.clone();
        (1..=KEPT as RoomVersion).for_each(|message| deleted.delete(message));
        assert_eq!(deleted, before);
    }
}
