//! Envelopes as a reader sees them: those that are not for it left out, personal fields opened.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::follow::Whose;
use super::texts::{Texts, TextsNow};
use crate::events::envelope::Envelope;
use crate::events::log::EventLog;
use crate::events::room::RoomEvent;
use crate::http::api::Api;
use crate::http::event_view::{EventView, PersonalView};
use crate::http::problem::Problem;
use crate::http::reader::{Messages, Reader, Sight};
use crate::ids::{RoomId, RoomVersion, TenantId};
use crate::live::rooms::{Form, SharedEvent, Superseded};
use crate::security::sealing::{OpeningKeys, Sealer};

/// An event that the reader gets, as JSON.
#[derive(Debug)]
pub struct Shown {
    pub envelope: Arc<Envelope>,
    pub json: String,
}

/// An event that the reader gets.
#[derive(Clone, Debug)]
pub struct Seen {
    pub envelope: Arc<Envelope>,
    /// Nothing that tells whom it is about is for this reader.
    pub without_who: bool,
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
    texts: Texts,
    /// Events that sent messages which the events at hand delete.
    sent: HashMap<(RoomId, RoomVersion), Envelope>,
}

impl Show {
    pub fn new(api: &Api, whose: &Whose, reader: Reader, personal: bool) -> Self {
        let texts = Texts::new(api, whose, personal);
        let (log, sealer, tenant) = (api.log.clone(), api.sealer.clone(), whose.tenant().clone());
        Self { log, sealer, tenant, reader, personal, messages: Messages::default(), texts, sent: HashMap::new() }
    }

    /// Those of the events that the reader gets, as JSON. `just_happened`: nothing can have been edited or deleted since.
    pub async fn show(&mut self, events: Vec<Arc<Envelope>>, just_happened: bool) -> Result<Vec<Shown>, Problem> {
        let seen = self.seen(events).await?;
        let texts = if just_happened { TextsNow::default() } else { self.texts.of(&self.tenant, &seen).await? };
        let keys = self.keys_for(seen.iter().map(|seen| &seen.envelope)).await?;
        let shown = seen.into_iter().map(|seen| {
            let json = self.json(&seen, keys.as_ref(), texts.superseded(&seen.envelope))?;
            Ok(Shown { json, envelope: seen.envelope })
        });
        shown.collect()
    }

    /// The same of events in memory, whose renderings are shared by all who see them alike.
    pub async fn show_shared(&mut self, events: &[Arc<SharedEvent>]) -> Result<Vec<Bytes>, Problem> {
        let moment = self.sealer.moment();
        let envelopes: Vec<_> = events.iter().map(|event| event.envelope.clone()).collect();
        self.look_up_deleted(&envelopes).await?;
        let mut seen: Vec<(&SharedEvent, Seen)> = Vec::with_capacity(events.len());
        for (event, envelope) in events.iter().zip(envelopes) {
            if self.is_over() {
                break;
            }
            let decoded = event.event();
            seen.extend(self.sees(envelope, decoded).map(|seen| (&**event, seen)));
        }
        let form = |seen: &Seen| self.form(seen);
        let mut rendered: Vec<_> = seen.iter().map(|(event, seen)| event.rendered(form(seen), moment)).collect();
        let missing = || seen.iter().zip(&rendered).filter(|(_, made)| made.is_none());
        if missing().next().is_some() {
            let keys = self.keys_for(missing().map(|((event, _), _)| &event.envelope)).await?;
            for ((event, seen), made) in seen.iter().zip(&mut rendered).filter(|(_, made)| made.is_none()) {
                let (superseded, revision) = event.superseded();
                let json = Bytes::from(self.json(seen, keys.as_ref(), superseded)?);
                event.keep(form(seen), moment, revision, json.clone());
                *made = Some(json);
            }
        }
        Ok(rendered.into_iter().flatten().collect())
    }

    fn form(&self, seen: &Seen) -> Form {
        match () {
            () if seen.without_who => Form::WithoutWho,
            () if !self.opens(seen.envelope.room_version) => Form::Withheld,
            () if self.reader.admin => Form::OpenToAdmins,
            () => Form::Open,
        }
    }

    fn json(&self, seen: &Seen, keys: Option<&OpeningKeys>, superseded: Option<Superseded>) -> Result<String, Problem> {
        let envelope = &*seen.envelope;
        let view = match self.form(seen) {
            Form::WithoutWho => EventView::without_who(envelope),
            Form::Withheld => EventView::new(envelope, PersonalView::of(envelope, None)),
            Form::Open if superseded.is_some() => EventView::new(envelope, PersonalView::default().marked(superseded)),
            Form::Open | Form::OpenToAdmins => {
                EventView::new(envelope, PersonalView::of(envelope, keys).marked(superseded))
            }
        };
        serde_json::to_string(&view).map_err(|error| Problem::internal(format!("event {}: {error}", envelope.position)))
    }

    /// Those of the events that the reader gets.
    pub async fn seen(&mut self, events: Vec<Arc<Envelope>>) -> Result<Vec<Seen>, Problem> {
        self.look_up_deleted(&events).await?;
        let mut seen = Vec::with_capacity(events.len());
        for envelope in events {
            if self.is_over() {
                break;
            }
            let event = if self.reader.admin { None } else { envelope.event().ok() };
            seen.extend(self.sees(envelope, event.as_ref()));
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

    /// Keys to open the events with; `None`: the reader may see no personal fields.
    async fn keys_for<'e>(
        &self,
        events: impl Iterator<Item = &'e Arc<Envelope>>,
    ) -> Result<Option<OpeningKeys>, Problem> {
        if !self.personal {
            return Ok(None);
        }
        let sealed = events.filter_map(|envelope| envelope.sealed.as_ref());
        Ok(Some(self.sealer.load_keys(&self.tenant, sealed).await?))
    }

    fn sees(&mut self, envelope: Arc<Envelope>, event: Option<&RoomEvent>) -> Option<Seen> {
        let sight = match self.reader.sees_event(&envelope, event) {
            Sight::AsMessage(message) => self.sees_message(envelope.room, message),
            sight => sight,
        };
        if &*envelope.event_type == "room.message-sent" {
            self.messages.remember(envelope.room, envelope.room_version, sight);
        }
        match sight {
            Sight::Shown => Some(Seen { envelope, without_who: false }),
            Sight::WithoutWho => Some(Seen { envelope, without_who: true }),
            Sight::Hidden | Sight::AsMessage(_) => None,
        }
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
