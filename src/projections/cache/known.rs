//! An index of recent changes, from which a node judges cache entries: the position up to which it followed the log (`through`),
//! and for each room that changed after `since` its last change. Pure.
//!
//! An entry holds the state at its position. It is still true if its room has not changed since, which the index knows from
//! `since` on. An entry that cannot be judged is not used.

use std::collections::{BTreeMap, HashMap};

use super::entry::Lineage;
use crate::events::log::changes::Change;
use crate::ids::{Position, RoomKey};

/// Rooms whose last change is remembered: about 20 MB when full.
const MOST_ROOMS: usize = 100_000;

/// What may be said of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing happened in its room since.
    True,
    /// The room has changed since, at this position or later.
    Outdated(Position),
    /// Of another history, or of a time that is not remembered.
    Unknown,
}

#[derive(Debug)]
pub struct Known {
    lineage: Lineage,
    through: Position,
    /// Every room that is not among `last` has not changed after this.
    since: Position,
    last: HashMap<RoomKey, Position>,
    by_position: BTreeMap<Position, RoomKey>,
    most: usize,
}

impl Known {
    /// Knows nothing of before `position`.
    pub fn from(lineage: Lineage, position: Position) -> Self {
        Self::remembering(lineage, position, MOST_ROOMS)
    }

    fn remembering(lineage: Lineage, position: Position, most: usize) -> Self {
        Self { lineage, through: position, since: position, last: HashMap::new(), by_position: BTreeMap::new(), most }
    }

    pub fn through(&self) -> Position {
        self.through
    }

    pub fn since(&self) -> Position {
        self.since
    }

    pub fn rooms(&self) -> usize {
        self.last.len()
    }

    /// The rooms that changed last, the latest first.
    pub fn latest(&self, most: usize) -> Vec<RoomKey> {
        self.by_position.values().rev().take(most).cloned().collect()
    }

    /// Whether positions there are positions here, whatever tables they were read from.
    pub fn is_of_epoch_of(&self, lineage: Option<Lineage>) -> bool {
        lineage.is_some_and(|lineage| lineage.epoch == self.lineage.epoch)
    }

    /// After this the room has not changed.
    pub fn unchanged_since(&self, room: &RoomKey) -> Position {
        self.last.get(room).copied().unwrap_or(self.since)
    }

    /// The next event of the log.
    pub fn follow(&mut self, change: &Change) {
        self.through = change.position;
        if let Some(before) = self.last.insert(change.key.clone(), change.position) {
            self.by_position.remove(&before);
        }
        self.by_position.insert(change.position, change.key.clone());
        while self.last.len() > self.most
            && let Some((position, key)) = self.by_position.pop_first()
        {
            self.last.remove(&key);
            self.since = position;
        }
    }

    pub fn judge(&self, room: &RoomKey, lineage: Option<Lineage>, position: Position) -> Judgement {
        if lineage != Some(self.lineage) || position < self.since {
            return Judgement::Unknown;
        }
        match self.last.get(room) {
            // Where between the two the first change was is not remembered.
            Some(last) if *last > position => Judgement::Outdated(position + 1),
            _ => Judgement::True,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::events::time::Timestamp;
    use crate::ids::{RoomId, TenantId};

    const LINEAGE: Lineage = Lineage { epoch: Uuid::nil(), generation: 1 };

    fn room(number: u128) -> RoomKey {
        RoomKey { tenant: TenantId::new("acme").unwrap(), room: RoomId::from_uuid(Uuid::from_u128(number)) }
    }

    fn told(known: &mut Known, position: Position, number: u128) {
        known.follow(&Change { position, recorded_at: Timestamp::EPOCH, key: room(number) });
    }

    fn judged(known: &Known, number: u128, position: Position) -> Judgement {
        known.judge(&room(number), Some(LINEAGE), position)
    }

    #[test]
    fn what_no_event_has_touched_since_is_true() {
        let mut known = Known::from(LINEAGE, 10);
        told(&mut known, 11, 1);
        told(&mut known, 12, 2);
        assert_eq!(judged(&known, 1, 11), Judgement::True);
        assert_eq!(judged(&known, 1, 10), Judgement::Outdated(11));
        assert_eq!(judged(&known, 3, 10), Judgement::True);
        assert_eq!([1, 2, 3].map(|number| known.unchanged_since(&room(number))), [11, 12, 10]);
        assert_eq!(judged(&known, 2, 20), Judgement::True, "it may be ahead of who judges it");
    }

    #[test]
    fn of_what_was_before_its_memory_it_says_nothing() {
        let known = Known::from(LINEAGE, 10);
        assert_eq!(judged(&known, 1, 9), Judgement::Unknown);
    }

    #[test]
    fn another_history_and_other_tables_cannot_be_judged() {
        let known = Known::from(LINEAGE, 0);
        for lineage in
            [None, Some(Lineage { generation: 2, ..LINEAGE }), Some(Lineage { epoch: Uuid::max(), ..LINEAGE })]
        {
            assert_eq!(known.judge(&room(1), lineage, 5), Judgement::Unknown);
        }
    }

    #[test]
    fn what_it_forgets_moves_the_beginning_of_its_memory() {
        let mut known = Known::remembering(LINEAGE, 0, 2);
        told(&mut known, 1, 1);
        told(&mut known, 2, 2);
        told(&mut known, 3, 1);
        assert_eq!(known.since(), 0, "two rooms");
        told(&mut known, 4, 3);
        assert_eq!((known.since(), known.rooms()), (2, 2), "the room that changed longest ago goes");
        assert_eq!(judged(&known, 2, 1), Judgement::Unknown);
        assert_eq!(judged(&known, 2, 2), Judgement::True);
        assert_eq!(known.latest(5), [room(3), room(1)]);
    }

    /// Against a plain list of what happened: nothing that is called true has changed, and nothing outdated is as it was.
    #[test]
    fn no_order_of_events_makes_it_call_true_what_has_changed() {
        let mut seed = 7u64;
        let mut dice = |sides: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % sides
        };
        for _ in 0..200 {
            let mut known = Known::remembering(LINEAGE, 0, 4);
            let mut happened = Vec::new();
            for position in 1..=60 {
                let number = u128::from(dice(9));
                told(&mut known, position, number);
                happened.push((position, number));
                let (asked, at) = (u128::from(dice(9)), dice(position + 3));
                let changed = happened.iter().any(|(position, number)| *number == asked && *position > at);
                match judged(&known, asked, at) {
                    Judgement::True => assert!(!changed),
                    Judgement::Outdated(from) => assert!(changed && from == at + 1),
                    Judgement::Unknown => assert!(at < known.since()),
                }
            }
        }
    }
}
