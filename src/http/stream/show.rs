//! Envelopes as a reader sees them: those that are not for it left out, personal fields opened.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::follow::Whose;
use crate::events::envelope::{Envelope, RoomVersion};
use crate::events::ids::{RoomId, TenantId};
use crate::events::log::EventLog;
use crate::events::room::RoomEvent;
use crate::http::event_view::{EventView, PersonalView};
use crate::http::problem::Problem;
use crate::http::reader::{Messages, Reader, Sight};
use crate::security::sealing::{OpeningKeys, Sealer};

/// An event that the reader gets, as JSON.
#[derive(Debug)]
pub struct Shown {
    pub envelope: Arc<Envelope>,
    pub json: String,
}

/// Shows events to one reader, in the order of their numbers.
pub struct Show {
    log: EventLog,
    sealer: Sealer,
    tenant: TenantId,
    reader: Reader,
    /// Whether personal fields may be seen at all.
    personal: bool,
    messages: Messages,
    /// Events that sent messages which the events at hand delete.
    sent: HashMap<(RoomId, RoomVersion), Envelope>,
}

impl Show {
    pub fn new(log: EventLog, sealer: Sealer, whose: &Whose, reader: Reader, personal: bool) -> Self {
        let tenant = whose.tenant().clone();
        Self { log, sealer, tenant, reader, personal, messages: Messages::default(), sent: HashMap::new() }
    }

    pub async fn show(&mut self, events: Vec<Arc<Envelope>>) -> Result<Vec<Shown>, Problem> {
        let seen = self.seen(events).await?;
        let keys = if self.personal { Some(self.keys(&seen).await?) } else { None };
        let shown = seen.into_iter().map(|envelope| {
            let keys = keys.as_ref().filter(|_| self.opens(envelope.room_version));
            let view = EventView::new(&envelope, PersonalView::of(&envelope, keys));
            match serde_json::to_string(&view) {
                Ok(json) => Ok(Shown { json, envelope }),
                Err(error) => Err(Problem::internal(format!("event {}: {error}", envelope.position))),
            }
        });
        shown.collect()
    }

    /// Those of the events that the reader gets.
    pub async fn seen(&mut self, events: Vec<Arc<Envelope>>) -> Result<Vec<Arc<Envelope>>, Problem> {
        self.look_up_deleted(&events).await?;
        let mut seen = Vec::with_capacity(events.len());
        for envelope in events {
            if self.is_over() {
                break;
            }
            if self.sees(&envelope) {
                seen.push(envelope);
            }
        }
        Ok(seen)
    }

    /// Whom a deleted message was for stands with the event that sent it; all that are wanted and not at hand, at once.
    async fn look_up_deleted(&mut self, events: &[Arc<Envelope>]) -> Result<(), Problem> {
        self.sent.clear();
        self.messages.make_room();
        if self.reader.admin {
            return Ok(());
        }
        let mut at_hand = HashSet::new();
        let mut wanted = Vec::new();
        for envelope in events {
            match &*envelope.event_type {
                "room.message-sent" => drop(at_hand.insert((envelope.room, envelope.room_version))),
                "room.message-deleted" => {
                    let Ok(RoomEvent::MessageDeleted(deleted)) = envelope.event() else { continue };
                    let message = (envelope.room, deleted.message);
                    if self.messages.recall(message.0, message.1).is_none() && at_hand.insert(message) {
                        wanted.push(message);
                    }
                }
                _ => {}
            }
        }
        self.sent = self.log.room_events(&self.tenant, &wanted).await?;
        Ok(())
    }

    /// The reader left the room: what comes after it is not for this reader.
    pub fn is_over(&self) -> bool {
        self.reader.gone
    }

    /// Whether personal fields of an event at a version of the room are opened for this reader.
    pub fn opens(&self, version: RoomVersion) -> bool {
        self.personal && self.reader.opens(version)
    }

    async fn keys(&self, seen: &[Arc<Envelope>]) -> Result<OpeningKeys, Problem> {
        let sealed = seen.iter().filter_map(|envelope| envelope.sealed.as_ref());
        Ok(self.sealer.load_keys(&self.tenant, sealed).await?)
    }

    fn sees(&mut self, envelope: &Envelope) -> bool {
        let sight = match self.reader.sees(envelope) {
            Sight::AsMessage(message) => self.sees_message(envelope.room, message),
            sight => sight,
        };
        if &*envelope.event_type == "room.message-sent" {
            self.messages.remember(envelope.room, envelope.room_version, sight);
        }
        sight == Sight::Shown
    }

    /// Whether the reader sees the message that was sent at a version.
    fn sees_message(&mut self, room: RoomId, message: RoomVersion) -> Sight {
        if let Some(sight) = self.messages.recall(room, message) {
            return sight;
        }
        let sight = self.sent.get(&(room, message)).map_or(Sight::Hidden, |sent| self.reader.sees(sent));
        self.messages.remember(room, message, sight);
        sight
    }
}
