//! Envelopes as a reader sees them: those that are not for it left out, personal fields opened.

use std::sync::Arc;

use super::follow::Whose;
use crate::events::envelope::{Envelope, RoomVersion};
use crate::events::ids::{RoomId, TenantId};
use crate::events::log::{EventLog, RoomKey};
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
}

impl Show {
    pub fn new(log: EventLog, sealer: Sealer, whose: &Whose, reader: Reader, personal: bool) -> Self {
        let tenant = whose.tenant().clone();
        Self { log, sealer, tenant, reader, personal, messages: Messages::default() }
    }

    pub async fn show(&mut self, events: Vec<Arc<Envelope>>) -> Result<Vec<Shown>, Problem> {
        let seen = self.seen(events).await?;
        let keys = if self.personal { Some(self.keys(&seen).await?) } else { None };
        let shown = seen.into_iter().map(|envelope| {
            let view = EventView::new(&envelope, PersonalView::of(&envelope, keys.as_ref()));
            match serde_json::to_string(&view) {
                Ok(json) => Ok(Shown { json, envelope }),
                Err(error) => Err(Problem::internal(format!("event {}: {error}", envelope.position))),
            }
        });
        shown.collect()
    }

    /// Those of the events that the reader gets.
    pub async fn seen(&mut self, events: Vec<Arc<Envelope>>) -> Result<Vec<Arc<Envelope>>, Problem> {
        let mut seen = Vec::with_capacity(events.len());
        for envelope in events {
            if self.is_over() {
                break;
            }
            if self.sees(&envelope).await? {
                seen.push(envelope);
            }
        }
        Ok(seen)
    }

    /// The reader left the room: what comes after it is not for this reader.
    pub fn is_over(&self) -> bool {
        self.reader.gone
    }

    async fn keys(&self, seen: &[Arc<Envelope>]) -> Result<OpeningKeys, Problem> {
        let sealed = seen.iter().filter_map(|envelope| envelope.sealed.as_ref());
        Ok(self.sealer.load_keys(&self.tenant, sealed).await?)
    }

    async fn sees(&mut self, envelope: &Envelope) -> Result<bool, Problem> {
        let sight = match self.reader.sees(envelope) {
            Sight::AsMessage(message) => self.sees_message(envelope.room, message).await?,
            sight => sight,
        };
        if &*envelope.event_type == "room.message-sent" {
            self.messages.remember(envelope.room, envelope.room_version, sight);
        }
        Ok(sight == Sight::Shown)
    }

    /// Whether the reader sees the message that was sent at a version.
    async fn sees_message(&mut self, room: RoomId, message: RoomVersion) -> Result<Sight, Problem> {
        if let Some(sight) = self.messages.recall(room, message) {
            return Ok(sight);
        }
        let key = RoomKey { tenant: self.tenant.clone(), room };
        let sent = self.log.read_room(&key, message.saturating_sub(1), None, 1).await?;
        let sight = sent.first().map_or(Sight::Hidden, |sent| self.reader.sees(sent));
        self.messages.remember(room, message, sight);
        Ok(sight)
    }
}
