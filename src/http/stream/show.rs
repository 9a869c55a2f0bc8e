//! Envelopes as a reader sees them: those that are not for it left out, personal fields opened.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::follow::Whose;
use crate::events::envelope::{Envelope, Position, RoomVersion};
use crate::events::ids::{RoomId, TenantId};
use crate::events::log::EventLog;
use crate::events::room::RoomEvent;
use crate::http::event_view::{EventView, PersonalView};
use crate::http::problem::Problem;
use crate::http::reader::{Messages, Reader, Sight};
use crate::live::rooms::SharedEvent;
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
            Ok(Shown { json: json(&envelope, keys)?, envelope })
        });
        shown.collect()
    }

    /// The same of events in memory, whose renderings are shared by all who see them alike.
    pub async fn show_shared(&mut self, events: &[Arc<SharedEvent>]) -> Result<Vec<Bytes>, Problem> {
        let moment = self.sealer.moment();
        let envelopes = events.iter().map(|event| event.envelope.clone()).collect();
        let seen: HashSet<Position> = self.seen(envelopes).await?.iter().map(|event| event.position).collect();
        let seen: Vec<_> = events.iter().filter(|event| seen.contains(&event.envelope.position)).collect();
        let opens = |event: &SharedEvent| self.opens(event.envelope.room_version);
        let made = |event: &SharedEvent| if opens(event) { event.opened(moment) } else { event.withheld() };
        let mut rendered: Vec<Option<Bytes>> = seen.iter().map(|event| made(event)).collect();
        let missing: Vec<_> =
            seen.iter().zip(&rendered).filter(|(_, made)| made.is_none()).map(|(event, _)| event.envelope.clone()).collect();
        if !missing.is_empty() {
            let keys = if self.personal { Some(self.keys(&missing).await?) } else { None };
            for (event, made) in seen.iter().zip(&mut rendered).filter(|(_, made)| made.is_none()) {
                let opened = opens(event);
                let json = Bytes::from(json(&event.envelope, keys.as_ref().filter(|_| opened))?);
                if opened {
                    event.keep_opened(moment, json.clone());
                } else {
                    event.keep_withheld(json.clone());
                }
                *made = Some(json);
            }
        }
        Ok(rendered.into_iter().flatten().collect())
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

fn json(envelope: &Envelope, keys: Option<&OpeningKeys>) -> Result<String, Problem> {
    let view = EventView::new(envelope, PersonalView::of(envelope, keys));
    serde_json::to_string(&view).map_err(|error| Problem::internal(format!("event {}: {error}", envelope.position)))
}
