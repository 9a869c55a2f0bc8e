//! What became of the texts of messages: whether they were edited or deleted after the events that are to be shown.
//!
//! The read model of messages says which event holds a message's text now. It is waited for until it contains all that had happened
//! when the events were read, so that a text is never shown after its deletion was acknowledged. Where the model is behind, has
//! stopped, or has let go of the room, the room's later events are read instead.

use std::collections::HashMap;
use std::time::Duration;

use super::follow::{self, EventScope};
use super::published::{PublishedEvent, Superseded};
use super::renderer::VisibleEvent;
use super::{Live, LiveError};
use crate::events::room::RoomEvent;
use crate::ids::{Position, RoomKey, RoomVersion};
use crate::projections::messages::{AudienceKind, MessageName, MessagesModel};
use crate::projections::model::ReadModel as _;

/// How long the read model is waited for before the log is read.
const PATIENCE: Duration = Duration::from_millis(500);

/// Events read at a time.
const PAGE: usize = 1_000;

/// An event with a text: of which message, and for whom that is.
struct TextEvent<'e> {
    event: &'e PublishedEvent,
    name: MessageName,
}

impl TextEvent<'_> {
    fn version(&self) -> RoomVersion {
        self.event.envelope.room_version
    }
}

/// Marks those of the events, read from the log, whose texts were edited or deleted later.
pub async fn mark(live: &Live, scope: &EventScope, visible: &[VisibleEvent]) -> Result<(), LiveError> {
    let texts: Vec<TextEvent<'_>> = visible.iter().filter_map(|visible| text(&visible.event)).collect();
    if texts.is_empty() {
        return Ok(());
    }
    let head = head(live, scope).await?;
    let reached = live.progress().wait_for(MessagesModel::NAME, head, PATIENCE, live.stop()).await.is_ok();
    let mut unknown = !reached;
    if reached {
        let names: Vec<_> = texts.iter().map(|text| text.name).collect();
        let held = live.models().texts_now(scope.tenant(), &names).await?;
        for text in &texts {
            match held.get(&(text.name.room, text.name.message)) {
                Some(held) if held.deleted => text.event.supersede(Superseded::Deleted),
                Some(held) if held.text_at.is_some_and(|at| at > text.version()) => {
                    text.event.supersede(Superseded::Edited);
                }
                Some(_) => {}
                None => unknown = true,
            }
        }
    }
    match scope {
        EventScope::Room(key) if unknown => read_on(live, key, &texts).await,
        EventScope::Room(_) | EventScope::Tenant(_) => Ok(()),
    }
}

/// Of the last event that there is for these readers.
async fn head(live: &Live, scope: &EventScope) -> Result<Position, LiveError> {
    match scope {
        EventScope::Room(key) => Ok(live.log().room_head(key).await?.map_or(0, |head| head.last_position)),
        EventScope::Tenant(_) => Ok(0),
    }
}

/// Reads the room from the first of the events on.
async fn read_on(live: &Live, key: &RoomKey, texts: &[TextEvent<'_>]) -> Result<(), LiveError> {
    let mut of_message: HashMap<RoomVersion, Vec<&TextEvent<'_>>> = HashMap::new();
    for text in texts {
        of_message.entry(text.name.message).or_default().push(text);
    }
    let mut after = texts.iter().map(TextEvent::version).min().unwrap_or_default();
    let scope = EventScope::Room(key.clone());
    loop {
        let range = follow::read_log(live.log(), &scope, after, PAGE).await?;
        for event in &range.events {
            let (message, by) = match event.event() {
                Some(RoomEvent::MessageEdited(edited)) => (edited.message, Superseded::Edited),
                Some(RoomEvent::MessageDeleted(deleted)) => (deleted.message, Superseded::Deleted),
                _ => continue,
            };
            let before = |text: &&&TextEvent<'_>| text.version() < event.envelope.room_version;
            let texts = of_message.get(&message).into_iter().flatten();
            texts.filter(before).for_each(|text| text.event.supersede(by));
        }
        after = range.through;
        if range.ended {
            return Ok(());
        }
    }
}

fn text(event: &PublishedEvent) -> Option<TextEvent<'_>> {
    let (message, audience) = match event.event()? {
        RoomEvent::MessageSent(sent) => (event.envelope.room_version, AudienceKind::of(&sent.to)),
        RoomEvent::MessageEdited(edited) => (edited.message, AudienceKind::of(&edited.to)),
        _ => return None,
    };
    Some(TextEvent { event, name: MessageName { room: event.envelope.room, audience, message } })
}
