//! An event as all who follow it on this node share it: decoded once, rendered once for each form and medium, however many get it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use uuid::Uuid;

use super::opened_at::OpenedAt;
use crate::events::envelope::Envelope;
use crate::events::room::RoomEvent;
use crate::security::sealing::KeyMoment;

/// What an event takes in memory beside its data, about, once it was rendered.
const EVENT: usize = 1_500;

/// How an event reads, for one kind of viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewerForm {
    /// Personal fields are open, but for texts that were edited or deleted later.
    Open,
    /// All personal fields are open.
    OpenToAdmins,
    Withheld,
    /// Nothing tells whom it is about.
    WithoutWho,
}

/// In what an event is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventMedium {
    Json,
    /// A server-sent event of a room's stream, whose ids hold this epoch.
    RoomStream(Uuid),
    /// The same of a tenant's stream.
    TenantStream(Uuid),
}

/// What became of a text later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Superseded {
    Edited,
    Deleted,
}

#[derive(Default)]
struct Renderings {
    superseded: Option<Superseded>,
    opened: Option<OpenedAt>,
    made: Vec<(ViewerForm, EventMedium, Bytes)>,
}

impl Renderings {
    /// What was made with keys of this moment.
    fn get(&self, form: ViewerForm, medium: EventMedium, moment: KeyMoment) -> Option<Bytes> {
        self.opened.filter(|opened| opened.holds(moment))?;
        let found = self.made.iter().find(|(made, written, _)| *made == form && *written == medium);
        found.map(|(.., bytes)| bytes.clone())
    }
}

/// See the module.
pub struct PublishedEvent {
    pub envelope: Arc<Envelope>,
    event: OnceLock<Option<RoomEvent>>,
    renderings: Mutex<Renderings>,
}

impl PublishedEvent {
    pub fn new(envelope: Arc<Envelope>) -> Arc<Self> {
        Arc::new(Self { envelope, event: OnceLock::new(), renderings: Mutex::default() })
    }

    /// `None`: this program cannot read it.
    pub fn event(&self) -> Option<&RoomEvent> {
        self.event.get_or_init(|| self.envelope.event().ok()).as_ref()
    }

    fn renderings(&self) -> MutexGuard<'_, Renderings> {
        self.renderings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As it was rendered with keys of this moment.
    pub fn rendered(&self, form: ViewerForm, medium: EventMedium, moment: KeyMoment) -> Option<Bytes> {
        self.renderings().get(form, medium, moment)
    }

    /// The rendering, which `make` makes where there is none yet; whoever asks for the same meanwhile waits for it. `moment`: from
    /// before the keys were loaded.
    pub fn render<E>(
        &self,
        form: ViewerForm,
        medium: EventMedium,
        moment: KeyMoment,
        make: impl FnOnce(Option<Superseded>) -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        let mut renderings = self.renderings();
        if let Some(made) = renderings.get(form, medium, moment) {
            return Ok(made);
        }
        let made = make(renderings.superseded)?;
        if !renderings.opened.is_some_and(|opened| opened.holds(moment)) {
            renderings.opened = Some(OpenedAt::now(moment));
            renderings.made.clear();
        }
        renderings.made.push((form, medium, made.clone()));
        Ok(made)
    }

    /// Its text was edited or deleted; what was rendered before is made anew.
    pub fn supersede(&self, by: Superseded) {
        *self.renderings() = Renderings { superseded: Some(by), ..Renderings::default() };
    }

    /// Bytes that it takes in memory, about.
    pub fn bytes(&self) -> usize {
        let sealed = self.envelope.sealed.as_ref().map_or(0, |sealed| sealed.0.len());
        EVENT + 3 * (self.envelope.data.get().len() + sealed)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::live::event_view::tests::envelope;

    const EPOCH: Uuid = Uuid::from_u128(7);

    fn render(event: &PublishedEvent, form: ViewerForm, medium: EventMedium, text: &'static str) -> Bytes {
        let made: Result<_, Infallible> = event
            .render(form, medium, KeyMoment::default(), |superseded| Ok(Bytes::from(format!("{text} {superseded:?}"))));
        let Ok(made) = made;
        made
    }

    #[test]
    fn each_form_and_medium_is_made_once() {
        let event = PublishedEvent::new(Arc::new(envelope("room.opened", 1, "{}")));
        for form in [ViewerForm::Open, ViewerForm::Withheld] {
            for medium in [EventMedium::Json, EventMedium::RoomStream(EPOCH), EventMedium::TenantStream(EPOCH)] {
                let made = render(&event, form, medium, "first");
                assert_eq!(render(&event, form, medium, "second"), made);
            }
        }
        let other = EventMedium::RoomStream(Uuid::from_u128(8));
        assert_eq!(render(&event, ViewerForm::Open, other, "of another epoch"), "of another epoch None");
    }

    #[test]
    fn what_a_deletion_overtakes_is_made_anew() {
        let event = PublishedEvent::new(Arc::new(envelope("room.opened", 1, "{}")));
        render(&event, ViewerForm::Open, EventMedium::Json, "before");
        event.supersede(Superseded::Deleted);
        assert_eq!(event.rendered(ViewerForm::Open, EventMedium::Json, KeyMoment::default()), None);
        assert_eq!(render(&event, ViewerForm::Open, EventMedium::Json, "after"), "after Some(Deleted)");
    }
}
