//! What became of the texts of messages: whether they were edited or deleted after the events that are to be shown.
//!
//! The read model of messages says which event holds a message's text now. It is waited for until it contains all that had happened
//! when the events were read, so that a text is never shown after its deletion was acknowledged. Where the model is behind, has
//! stopped, or has let go of the room, the room's later events are read instead.

use std::collections::HashMap;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::follow::{self, Whose};
use crate::events::envelope::Envelope;
use crate::events::log::EventLog;
use crate::events::room::RoomEvent;
use crate::http::api::Api;
use crate::http::problem::Problem;
use crate::http::stream::show::Seen;
use crate::ids::{Position, RoomId, RoomVersion, TenantId};
use crate::live::rooms::Superseded;
use crate::projections::live::Board;
use crate::projections::messages::{AudienceKind, MessageName, Messages};
use crate::projections::model::ReadModel as _;
use crate::projections::read::ReadModels;

/// How long the read model is waited for before the log is read.
const PATIENCE: Duration = Duration::from_millis(500);

/// Events read at a time.
const PAGE: usize = 1_000;

pub struct Texts {
    log: EventLog,
    models: ReadModels,
    board: Board,
    stop: CancellationToken,
    whose: Whose,
    /// Texts are shown at all.
    open: bool,
}

/// The texts of some events that hold no longer, by room and version of the event.
#[derive(Debug, Default)]
pub struct TextsNow(HashMap<(RoomId, RoomVersion), Superseded>);

impl TextsNow {
    pub fn superseded(&self, envelope: &Envelope) -> Option<Superseded> {
        self.0.get(&(envelope.room, envelope.room_version)).copied()
    }
}

/// An event with a text: of which message, and for whom that is.
struct TextEvent {
    name: MessageName,
    version: RoomVersion,
}

impl Texts {
    pub fn new(api: &Api, whose: &Whose, open: bool) -> Self {
        let (log, models, board) = (api.log.clone(), api.models.clone(), api.board.clone());
        Self { log, models, board, stop: api.stop.clone(), whose: whose.clone(), open }
    }

    /// What became of the texts in these events.
    pub async fn of(&self, tenant: &TenantId, seen: &[Seen]) -> Result<TextsNow, Problem> {
        let texts: Vec<TextEvent> = seen.iter().filter_map(|seen| text(&seen.envelope)).collect();
        let Some(first) = texts.iter().map(|text| text.version).min().filter(|_| self.open) else {
            return Ok(TextsNow::default());
        };
        let head = self.head().await?;
        let reached = self.board.wait_for(Messages::NAME, head, PATIENCE, &self.stop).await.is_ok();
        let mut now = TextsNow::default();
        let mut unknown = !reached;
        if reached {
            let names: Vec<_> = texts.iter().map(|text| text.name).collect();
            let held = self.models.texts_now(tenant, &names).await?;
            for text in &texts {
                match held.get(&(text.name.room, text.name.message)) {
                    Some(held) if held.deleted => now.put(text, Superseded::Deleted),
                    Some(held) if held.text_at.is_some_and(|at| at > text.version) => now.put(text, Superseded::Edited),
                    Some(_) => {}
                    None => unknown = true,
                }
            }
        }
        match &self.whose {
            Whose::Room(key) if unknown => self.read_on(key.room, first, &texts, now).await,
            Whose::Room(_) | Whose::Tenant(_) => Ok(now),
        }
    }

    /// Of the last event that there is for these readers.
    async fn head(&self) -> Result<Position, Problem> {
        match &self.whose {
            Whose::Room(key) => Ok(self.log.room_head(key).await?.map_or(0, |head| head.last_position)),
            Whose::Tenant(_) => Ok(0),
        }
    }

    /// Reads the room from the first of the events on.
    async fn read_on(
        &self,
        room: RoomId,
        first: RoomVersion,
        texts: &[TextEvent],
        mut now: TextsNow,
    ) -> Result<TextsNow, Problem> {
        let mut after = first;
        loop {
            let page = follow::read(&self.log, &self.whose, after, PAGE).await?;
            for envelope in &page.events {
                let (message, by) = match envelope.event() {
                    Ok(RoomEvent::MessageEdited(edited)) => (edited.message, Superseded::Edited),
                    Ok(RoomEvent::MessageDeleted(deleted)) => (deleted.message, Superseded::Deleted),
                    _ => continue,
                };
                let before = |text: &&TextEvent| text.name.message == message && text.version < envelope.room_version;
                for text in texts.iter().filter(before) {
                    now.0.insert((room, text.version), by);
                }
            }
            after = page.through;
            if page.ended {
                return Ok(now);
            }
        }
    }
}

impl TextsNow {
    fn put(&mut self, text: &TextEvent, by: Superseded) {
        self.0.insert((text.name.room, text.version), by);
    }
}

fn text(envelope: &Envelope) -> Option<TextEvent> {
    if !matches!(&*envelope.event_type, "room.message-sent" | "room.message-edited") {
        return None;
    }
    let (message, audience) = match envelope.event().ok()? {
        RoomEvent::MessageSent(sent) => (envelope.room_version, AudienceKind::of(&sent.to)),
        RoomEvent::MessageEdited(edited) => (edited.message, AudienceKind::of(&edited.to)),
        _ => return None,
    };
    let name = MessageName { room: envelope.room, audience, message };
    Some(TextEvent { name, version: envelope.room_version })
}
