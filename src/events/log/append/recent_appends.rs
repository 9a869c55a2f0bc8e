//! The events that this process appended recently. Readers that follow the end of the log take them from here instead of reading
//! them back.
//!
//! Batches are in the order of their positions. Another process may have appended between two of them: a reader takes the events
//! that follow its position without a gap, and reads the log at a gap.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::batch::{AppendBatch, Appended};
use super::chains::BatchChains;
use crate::events::envelope::Envelope;
use crate::events::log::chain;
use crate::ids::{Position, RoomKey, RoomVersion};

/// Bytes of events that are kept, about.
const KEPT: usize = 4 << 20;

/// What an event takes beside its data and its sealed part, about.
const ENVELOPE: usize = 500;

#[derive(Default)]
struct RecentEvents {
    /// By position.
    events: VecDeque<Arc<Envelope>>,
    bytes: usize,
    /// The last of the kept versions of each room, and its position.
    rooms: HashMap<RoomKey, (RoomVersion, Position)>,
}

#[derive(Default)]
pub struct RecentAppends {
    kept: Mutex<RecentEvents>,
    /// Of the last event that was appended here.
    last: AtomicU64,
    /// Of the last event that is no longer kept.
    forgotten: AtomicU64,
}

impl RecentAppends {
    fn kept(&self) -> MutexGuard<'_, RecentEvents> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the events of a batch that was committed. History that keeps its own times is left to be read.
    pub fn keep(&self, batch: &AppendBatch, chains: &BatchChains, appended: &Appended) {
        if batch.recorded_as_occurred.is_some() {
            self.forget_all(appended.position);
            return;
        }
        let mut events: Vec<Arc<Envelope>> = Vec::with_capacity(chains.events.len());
        for chained in &chains.events {
            let (room, written) = (&batch.rooms[chained.room], &appended.rooms[chained.room]);
            let Some(written) = written else { continue };
            let new = &room.events[chained.index];
            let position = written.position_of(chained.index);
            let recorded_at = written.recorded_at;
            let happened_at = new.occurred_at.unwrap_or(batch.now);
            events.push(Arc::new(Envelope {
                position,
                tenant: room.key.tenant.clone(),
                room: room.key.room,
                room_version: chained.version,
                event_type: new.event_type.into(),
                type_version: new.type_version,
                recorded_at,
                occurred_at: (happened_at != recorded_at).then_some(happened_at),
                actor: new.actor.clone(),
                session: new.session,
                command_id: new.command_id,
                causation_id: new.causation_id,
                correlation_id: new.correlation_id,
                traceparent: new.traceparent.clone(),
                data: new.data.clone(),
                sealed: new.sealed.clone(),
                hash: chain::seal(&chained.chain, position, recorded_at),
            }));
        }
        if events.is_empty() {
            return;
        }
        let mut kept = self.kept();
        let newer = kept.events.back().is_none_or(|last| last.position < events[0].position);
        for event in events {
            kept.bytes += bytes(&event);
            let last = kept.rooms.entry(key(&event)).or_default();
            *last = (event.room_version, event.position).max(*last);
            kept.events.push_back(event);
        }
        if !newer {
            // Two appends at once were answered in another order than they were written.
            kept.events.make_contiguous().sort_by_key(|event| event.position);
        }
        while kept.bytes > KEPT
            && let Some(first) = kept.events.pop_front()
        {
            kept.bytes -= bytes(&first);
            let key = key(&first);
            if kept.rooms.get(&key).is_some_and(|(version, _)| *version == first.room_version) {
                kept.rooms.remove(&key);
            }
            self.forgotten.store(first.position, Ordering::Release);
        }
        self.last.fetch_max(appended.position, Ordering::AcqRel);
    }

    fn forget_all(&self, through: Position) {
        *self.kept() = RecentEvents::default();
        self.forgotten.store(through, Ordering::Release);
        self.last.store(through, Ordering::Release);
    }

    /// The events that follow a position without a gap, up to `limit`; none where the log is to be read.
    pub fn after(&self, after: Position, limit: usize) -> Vec<Arc<Envelope>> {
        if self.last.load(Ordering::Acquire) <= after {
            return Vec::new();
        }
        let kept = self.kept();
        let first = kept.events.partition_point(|event| event.position <= after);
        let in_row = (after + 1..).zip(kept.events.iter().skip(first)).take(limit);
        in_row.take_while(|(next, event)| event.position == *next).map(|(_, event)| event.clone()).collect()
    }

    /// The first kept event behind a position: nothing from there on need be read.
    pub fn first_behind(&self, after: Position) -> Option<Position> {
        let kept = self.kept();
        let first = kept.events.partition_point(|event| event.position <= after);
        kept.events.get(first).map(|event| event.position)
    }

    /// Whether an event of the room is kept.
    pub fn has(&self, room: &RoomKey) -> bool {
        self.kept().rooms.contains_key(room)
    }

    /// The version up to which this process appended to the room, where it did so behind `known`.
    pub fn version(&self, room: &RoomKey, known: Position) -> Acknowledged {
        if self.last.load(Ordering::Acquire) <= known {
            return Acknowledged::Nothing;
        }
        if self.forgotten.load(Ordering::Acquire) > known {
            return Acknowledged::Unknown;
        }
        match self.kept().rooms.get(room) {
            Some((version, _)) => Acknowledged::Through(*version),
            None => Acknowledged::Nothing,
        }
    }
}

/// What this process has acknowledged of a room behind a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    Nothing,
    /// Events up to this version, perhaps.
    Through(RoomVersion),
    /// More was appended since than is kept.
    Unknown,
}

fn key(event: &Envelope) -> RoomKey {
    RoomKey { tenant: event.tenant.clone(), room: event.room }
}

fn bytes(event: &Envelope) -> usize {
    ENVELOPE + event.data.get().len() + event.sealed.as_ref().map_or(0, |sealed| sealed.0.len())
}
