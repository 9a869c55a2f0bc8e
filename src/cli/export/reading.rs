//! Reads the events of a selection, page by page in the order of positions, and renders them as lines.
//!
//! Memory holds three pages: one being read and rendered, one waiting, one being written. A page has at most [`PAGE`] events.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::selection::{ExportSelection, PositionRange};
use crate::cli::event_line;
use crate::events::envelope::Envelope;
use crate::events::log::{EventLog, LogError};
use crate::events::time::Timestamp;
use crate::ids::{Position, RoomKey, RoomVersion, TenantId};
use crate::live::event_view::PersonalView;
use crate::security::sealing::{OpeningKeys, Sealer};

/// Events read at a time.
const PAGE: usize = 1_000;

/// What was shown of personal fields, by events.
#[derive(Clone, Copy, Debug, Default)]
pub struct PersonalCounts {
    pub open: u64,
    pub sealed: u64,
    pub erased: u64,
}

/// Lines to be written, and what is done with them.
#[derive(Debug)]
pub struct ExportPage {
    pub text: Vec<u8>,
    pub events: u64,
    pub personal: PersonalCounts,
    /// Everything selected up to here is in this page or before it.
    pub through: Position,
    /// Done of [`ExportReader::total`].
    pub done: u64,
}

/// Whose events, and how far they are read.
enum ExportScope {
    Log,
    Tenant(TenantId),
    Room { key: RoomKey, since: Option<Timestamp>, first: RoomVersion, version: RoomVersion, end: RoomVersion },
}

pub struct ExportReader {
    log: EventLog,
    /// `None`: personal fields stay sealed.
    sealer: Option<Sealer>,
    scope: ExportScope,
    range: PositionRange,
    after: Position,
    /// Master keys that were missing where fields were to be opened.
    pub locked: BTreeSet<String>,
}

impl ExportReader {
    pub async fn new(
        log: EventLog,
        sealer: Option<Sealer>,
        selection: &ExportSelection,
        range: PositionRange,
    ) -> Result<Self, LogError> {
        let scope = match (selection.key(), &selection.tenant) {
            (Some(key), _) => room(&log, key, range).await?,
            (None, Some(tenant)) => ExportScope::Tenant(tenant.clone()),
            (None, None) => ExportScope::Log,
        };
        Ok(Self { log, sealer, scope, range, after: range.after, locked: BTreeSet::new() })
    }

    /// What there is to do, and what it is counted in.
    pub fn total(&self) -> (u64, &'static str) {
        let positions = self.range.to - self.range.after;
        match &self.scope {
            ExportScope::Log => (positions, "events"),
            // How many of them are the tenant's is known once they are read.
            ExportScope::Tenant(_) => (positions, "positions"),
            ExportScope::Room { first, end, .. } => (end - first, "events"),
        }
    }

    /// Sends pages until there are no more. `false`: told to stop, or nobody takes them.
    pub async fn send(&mut self, pages: Sender<ExportPage>, stop: &CancellationToken) -> anyhow::Result<bool> {
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                next = self.next() => next?,
            };
            let Some(page) = next else { return Ok(true) };
            let sent = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                sent = pages.send(page) => sent,
            };
            if sent.is_err() {
                return Ok(false);
            }
        }
    }

    async fn next(&mut self) -> anyhow::Result<Option<ExportPage>> {
        let Some(events) = self.read().await? else { return Ok(None) };
        let mut page = self.show(&events).await?;
        page.through = self.after;
        page.done = match &self.scope {
            ExportScope::Log | ExportScope::Tenant(_) => self.after - self.range.after,
            ExportScope::Room { first, version, .. } => version - first,
        };
        Ok(Some(page))
    }

    /// The next events; there may be none in a page that is not the last.
    async fn read(&mut self) -> Result<Option<Vec<Envelope>>, LogError> {
        let PositionRange { to, .. } = self.range;
        if self.after >= to {
            return Ok(None);
        }
        let before = self.after;
        let events = match &mut self.scope {
            ExportScope::Log => {
                let limit = usize::try_from(to - before).unwrap_or(PAGE).min(PAGE);
                let events = self.log.read(before, limit).await?;
                let last = events.last().map_or(before, |last| last.position);
                if last - before != events.len() as u64 {
                    return Err(LogError::Damaged(format!("positions are missing between {before} and {last}")));
                }
                self.after = last;
                events
            }
            ExportScope::Tenant(tenant) => {
                let page = self.log.read_tenant(tenant, before, PAGE).await?;
                self.after = page.through.min(to);
                page.events
            }
            ExportScope::Room { key, since, version, end, .. } => {
                let limit = usize::try_from(*end - *version).unwrap_or(PAGE).min(PAGE);
                let events = if limit == 0 { vec![] } else { self.log.read_room(key, *version, *since, limit).await? };
                if limit > 0 && events.is_empty() {
                    return Err(LogError::Damaged(format!("no version {} of room {}", *version + 1, key.room)));
                }
                if let Some(last) = events.last() {
                    (*version, *since) = (last.room_version, Some(last.recorded_at));
                }
                self.after = match events.last() {
                    Some(last) if *version < *end => last.position.clamp(before, to),
                    _ => to,
                };
                events
            }
        };
        if self.after == before && !matches!(self.scope, ExportScope::Room { .. }) {
            let what = format!("no event after position {before}, and the log's head stands at {to} or after it");
            return Err(LogError::Damaged(what));
        }
        let PositionRange { after, .. } = self.range;
        let wanted = |event: &Envelope| event.position > after && event.position <= to;
        Ok(Some(events.into_iter().filter(wanted).collect()))
    }

    async fn show(&mut self, events: &[Envelope]) -> anyhow::Result<ExportPage> {
        let keys = self.keys(events).await?;
        let mut page =
            ExportPage { text: Vec::new(), events: 0, personal: PersonalCounts::default(), through: 0, done: 0 };
        for event in events {
            let personal = PersonalView::of(event, keys.get(&event.tenant));
            page.personal.open += u64::from(personal.personal.is_some());
            page.personal.sealed += u64::from(personal.withheld);
            page.personal.erased += u64::from(personal.erased);
            page.events += 1;
            match self.scope {
                ExportScope::Log => event_line::write_with_tenant(&mut page.text, event, personal)?,
                ExportScope::Tenant(_) | ExportScope::Room { .. } => {
                    event_line::write(&mut page.text, event, personal)?
                }
            }
        }
        Ok(page)
    }

    /// Of each tenant that has something sealed here.
    async fn keys(&mut self, events: &[Envelope]) -> anyhow::Result<HashMap<TenantId, OpeningKeys>> {
        let mut keys = HashMap::new();
        let Some(sealer) = &self.sealer else { return Ok(keys) };
        let tenants: BTreeSet<_> =
            events.iter().filter(|event| event.sealed.is_some()).map(|event| &event.tenant).collect();
        for tenant in tenants {
            let sealed =
                events.iter().filter(|event| event.tenant == *tenant).filter_map(|event| event.sealed.as_ref());
            let found = sealer.load_available_keys(tenant, sealed).await?;
            self.locked.extend(found.locked().iter().cloned());
            keys.insert(tenant.clone(), found);
        }
        Ok(keys)
    }
}

/// The versions of a room that lie in a range; a few more at both ends, where events share a recorded time.
async fn room(log: &EventLog, key: RoomKey, range: PositionRange) -> Result<ExportScope, LogError> {
    let recorded_at = async |position: Position| match position {
        0 => Ok(None),
        position => Ok::<_, LogError>(log.read(position - 1, 1).await?.first().map(|event| event.recorded_at)),
    };
    let since = recorded_at(range.after).await?;
    let first = match since.and_then(|since| Timestamp::from_unix_micros(since.unix_micros() - 1)) {
        Some(before) => log.version_at(&key, before).await?,
        None => 0,
    };
    let end = match recorded_at(range.to).await? {
        Some(until) => log.version_at(&key, until).await?,
        None => 0,
    };
    Ok(ExportScope::Room { key, since, first, version: first, end })
}
