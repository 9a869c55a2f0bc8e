//! What becomes of personal fields on their way to the topic.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::RelayError;
use crate::events::envelope::Envelope;
use crate::events::sealed::PersonalFields;
use crate::events::topic::record::PersonalPart;

/// Opens the personal parts of events; `None`: the person has been erased. In the order of the events.
pub trait EventOpener: Send + Sync + 'static {
    fn open<'a>(&'a self, sealed: &'a [&'a Envelope]) -> BoxFuture<'a, Result<Vec<Option<PersonalFields>>, String>>;
}

pub enum PersonalPolicy {
    Sealed,
    Omitted,
    Clear(Arc<dyn EventOpener>),
}

impl PersonalPolicy {
    /// How each event's personal part goes.
    pub async fn parts(&self, events: &[Arc<Envelope>]) -> Result<Vec<PersonalPart>, RelayError> {
        let opener = match self {
            Self::Sealed => return Ok(vec![PersonalPart::Sealed; events.len()]),
            Self::Omitted => return Ok(vec![PersonalPart::Omitted; events.len()]),
            Self::Clear(opener) => opener,
        };
        let sealed: Vec<&Envelope> =
            events.iter().map(|event| &**event).filter(|event| event.sealed.is_some()).collect();
        let mut opened = opener.open(&sealed).await.map_err(RelayError::Personal)?.into_iter();
        let part = |event: &Arc<Envelope>| match event.sealed {
            Some(_) => PersonalPart::Clear(opened.next().flatten()),
            None => PersonalPart::Sealed,
        };
        Ok(events.iter().map(part).collect())
    }
}
