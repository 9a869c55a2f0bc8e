//! Applies the log's events to the states in memory, as the process's window brings them, and then hands them to readers: a state
//! contains an event before anybody gets it.

use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;

use super::{RoomStates, RoomStatesInner};
use crate::events::feed::window::WindowEnd;
use crate::live::hub::HubPublisher;
use crate::live::published::PublishedEvent;

/// Events applied at a time.
const PAGE: usize = 1_000;

impl RoomStates {
    /// Runs until told to stop.
    pub async fn run(self, mut publisher: HubPublisher, stop: CancellationToken) {
        let inner = &*self.0;
        let mut ends = inner.parts.window.end();
        let (mut generation, mut after) = (0, 0);
        loop {
            let end = *ends.borrow_and_update();
            if end.generation != generation {
                (generation, after) = (end.generation, end.begun);
                inner.begin(end.begun, &mut publisher);
            }
            while after < end.position {
                match inner.parts.window.read(after, PAGE) {
                    Some(events) if events.is_empty() => break,
                    Some(events) => {
                        let events: Vec<_> = events.into_iter().map(PublishedEvent::new).collect();
                        for event in &events {
                            if let Some((key, cell)) = inner.table.apply(event) {
                                inner.share(&key, end.epoch, || cell.read(|now| now.room.clone()));
                            }
                        }
                        after = events.last().map_or(after, |last| last.envelope.position);
                        inner.moved(after);
                        publisher.publish(events, after);
                    }
                    // The window has moved on without this task, or begins anew.
                    None => {
                        let WindowEnd { position, .. } = *ends.borrow_and_update();
                        after = position;
                        inner.begin(after, &mut publisher);
                    }
                }
            }
            tokio::select! {
                changed = ends.changed() => if changed.is_err() { return },
                () = publisher.tell_of_gap() => {}
                () = stop.cancelled() => return,
            }
        }
    }
}

impl RoomStatesInner {
    /// What was in memory may lack events up to here: all of it goes.
    fn begin(&self, position: u64, publisher: &mut HubPublisher) {
        self.table.clear();
        self.parts.metrics.began();
        self.moved(position);
        publisher.begin_anew(position);
    }

    fn moved(&self, position: u64) {
        self.applied.store(position, Ordering::Release);
        self.moved.send_replace(position);
    }
}
