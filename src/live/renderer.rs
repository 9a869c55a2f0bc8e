//! Events as one viewer sees them: those that are not for the viewer left out, personal fields opened, written in a medium.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::event_view::{EventView, PersonalView};
use super::follow::{EventOrigin, EventScope};
use super::published::{EventMedium, PublishedEvent, Superseded, ViewerForm};
use super::texts;
use super::viewer::{SeenMessages, Viewer, Visibility};
use super::{Live, LiveError};
use crate::events::envelope::Envelope;
use crate::events::room::RoomEvent;
use crate::ids::{RoomId, RoomVersion};
use crate::security::sealing::OpeningKeys;

/// An event that the viewer gets.
#[derive(Clone)]
pub struct VisibleEvent {
    pub event: Arc<PublishedEvent>,
    /// Nothing that tells whom it is about is for this viewer.
    pub without_who: bool,
}

/// Renders events for one viewer, in the order of their numbers.
pub struct EventRenderer {
    viewer: Viewer,
    /// Whether personal fields may be seen at all.
    personal: bool,
    messages: SeenMessages,
    /// Events that sent messages which the events at hand delete.
    sent: HashMap<(RoomId, RoomVersion), Envelope>,
}

impl EventRenderer {
    pub fn new(viewer: Viewer, personal: bool) -> Self {
        Self { viewer, personal, messages: SeenMessages::default(), sent: HashMap::new() }
    }

    /// Those of the events that the viewer gets, each as `write` makes it of the event's JSON. What is rendered is shared by all
    /// who see the event alike.
    pub async fn render(
        &mut self,
        live: &Live,
        scope: &EventScope,
        events: Vec<Arc<PublishedEvent>>,
        from: EventOrigin,
        medium: EventMedium,
        write: impl Fn(&Envelope, String) -> Bytes,
    ) -> Result<Vec<(Arc<PublishedEvent>, Bytes)>, LiveError> {
        let visible = self.visible(live, scope, events).await?;
        if from == EventOrigin::Log && self.personal {
            texts::mark(live, scope, &visible).await?;
        }
        let moment = live.sealer.moment();
        let form = |visible: &VisibleEvent| self.form(visible);
        let mut rendered: Vec<_> =
            visible.iter().map(|visible| visible.event.rendered(form(visible), medium, moment)).collect();
        let missing = || visible.iter().zip(&rendered).filter(|(_, made)| made.is_none());
        if missing().next().is_some() {
            let keys = self.keys_for(live, scope, missing().map(|(visible, _)| &*visible.event.envelope)).await?;
            for (visible, made) in visible.iter().zip(&mut rendered).filter(|(_, made)| made.is_none()) {
                let form = form(visible);
                let bytes = visible.event.render(form, medium, moment, |superseded| {
                    live.metrics.event_rendered();
                    let envelope = &visible.event.envelope;
                    json(envelope, form, keys.as_ref(), superseded).map(|json| write(envelope, json))
                })?;
                *made = Some(bytes);
            }
        }
        let rendered = visible.into_iter().zip(rendered);
        Ok(rendered.filter_map(|(visible, bytes)| Some((visible.event, bytes?))).collect())
    }

    fn form(&self, visible: &VisibleEvent) -> ViewerForm {
        match () {
            () if visible.without_who => ViewerForm::WithoutWho,
            () if !self.opens(visible.event.envelope.room_version) => ViewerForm::Withheld,
            () if self.viewer.admin => ViewerForm::OpenToAdmins,
            () => ViewerForm::Open,
        }
    }

    /// Those of the events that the viewer gets.
    pub async fn visible(
        &mut self,
        live: &Live,
        scope: &EventScope,
        events: Vec<Arc<PublishedEvent>>,
    ) -> Result<Vec<VisibleEvent>, LiveError> {
        self.look_up_deleted(live, scope, &events).await?;
        let mut visible = Vec::with_capacity(events.len());
        for event in events {
            if self.is_over() {
                break;
            }
            visible.extend(self.sees(event));
        }
        Ok(visible)
    }

    /// Whom a deleted message was for stands with the event that sent it; all that are wanted and not at hand, at once.
    async fn look_up_deleted(
        &mut self,
        live: &Live,
        scope: &EventScope,
        events: &[Arc<PublishedEvent>],
    ) -> Result<(), LiveError> {
        self.sent.clear();
        self.messages.make_room();
        if self.viewer.admin {
            return Ok(());
        }
        let mut at_hand = HashSet::new();
        let mut wanted = Vec::new();
        for event in events {
            let envelope = &event.envelope;
            match event.event() {
                Some(RoomEvent::MessageSent(_)) => _ = at_hand.insert((envelope.room, envelope.room_version)),
                Some(RoomEvent::MessageDeleted(deleted)) => {
                    let message = (envelope.room, deleted.message);
                    if self.messages.recall(message.0, message.1).is_none() && at_hand.insert(message) {
                        wanted.push(message);
                    }
                }
                _ => {}
            }
        }
        if !wanted.is_empty() {
            self.sent = live.log().room_events(scope.tenant(), &wanted).await?;
        }
        Ok(())
    }

    /// The viewer left the room: what comes after it is not for this viewer.
    pub fn is_over(&self) -> bool {
        self.viewer.gone
    }

    /// Whether personal fields of an event at a version of the room are opened for this viewer.
    pub fn opens(&self, version: RoomVersion) -> bool {
        self.personal && self.viewer.opens(version)
    }

    /// Keys to open the events with; `None`: the viewer may see no personal fields.
    async fn keys_for<'e>(
        &self,
        live: &Live,
        scope: &EventScope,
        events: impl Iterator<Item = &'e Envelope>,
    ) -> Result<Option<OpeningKeys>, LiveError> {
        if !self.personal {
            return Ok(None);
        }
        let sealed = events.filter_map(|envelope| envelope.sealed.as_ref());
        Ok(Some(live.sealer.load_keys(scope.tenant(), sealed).await?))
    }

    fn sees(&mut self, event: Arc<PublishedEvent>) -> Option<VisibleEvent> {
        let envelope = &event.envelope;
        let sight = match self.viewer.sees_event(envelope, event.event()) {
            Visibility::AsMessage(message) => self.sees_message(envelope.room, message),
            sight => sight,
        };
        if matches!(event.event(), Some(RoomEvent::MessageSent(_))) {
            self.messages.remember(envelope.room, envelope.room_version, sight);
        }
        match sight {
            Visibility::Shown => Some(VisibleEvent { event, without_who: false }),
            Visibility::WithoutWho => Some(VisibleEvent { event, without_who: true }),
            Visibility::Hidden | Visibility::AsMessage(_) => None,
        }
    }

    /// Whether the viewer sees the message that was sent at a version.
    fn sees_message(&mut self, room: RoomId, message: RoomVersion) -> Visibility {
        if let Some(sight) = self.messages.recall(room, message) {
            return sight;
        }
        let sight = self.sent.get(&(room, message)).map_or(Visibility::Hidden, |sent| self.viewer.sees(sent));
        self.messages.remember(room, message, sight);
        sight
    }
}

fn json(
    envelope: &Envelope,
    form: ViewerForm,
    keys: Option<&OpeningKeys>,
    superseded: Option<Superseded>,
) -> Result<String, LiveError> {
    let view = match form {
        ViewerForm::WithoutWho => EventView::without_who(envelope),
        ViewerForm::Withheld => EventView::new(envelope, PersonalView::of(envelope, None)),
        ViewerForm::Open if superseded.is_some() => {
            EventView::new(envelope, PersonalView::default().marked(superseded))
        }
        ViewerForm::Open | ViewerForm::OpenToAdmins => {
            EventView::new(envelope, PersonalView::of(envelope, keys).marked(superseded))
        }
    };
    serde_json::to_string(&view).map_err(|error| LiveError::Json { position: envelope.position, error })
}
