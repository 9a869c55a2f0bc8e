//! What a request for events asks for, whether of a room or of all: which range, and in which form.

use crate::live::cursor::{BadCursor, Cursor, CursorKind};
use axum::http::{HeaderMap, Uri, header};
use uuid::Uuid;

use super::problem::Problem;
use super::request::accept;
use super::request::headers;
use super::request::query::QueryParameters;
use crate::events::time::Timestamp;
use crate::ids::Position;
use crate::live::follow::EventScope;

const USUAL: usize = 100;
pub const MOST: usize = 1_000;

/// `Last-Event-ID`, which a reader of server-sent events brings when it comes back.
const LAST_EVENT_ID: header::HeaderName = header::HeaderName::from_static("last-event-id");

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventsForm {
    /// A page of JSON.
    Page,
    /// One line an event, all of them.
    Lines,
    /// Server-sent events, live.
    Live,
}

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// Behind what this cursor names.
    After { cursor: String, given_in: &'static str },
    /// At the first event recorded at or after this time.
    Since(Timestamp),
    /// Where the log ends now.
    Now,
    /// At the first event.
    Start,
}

#[derive(Clone, Debug)]
pub struct EventsRequest {
    pub form: EventsForm,
    pub begin: StartAt,
    /// The last event to be given, as a cursor.
    pub until: Option<String>,
    pub limit: usize,
    pub at_least: Option<String>,
}

impl EventsRequest {
    pub fn read(uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        let form = form(headers)?;
        let mut query = QueryParameters::read(uri)?;
        let begin = begin(form, &mut query, headers)?;
        let until = if form == EventsForm::Live { None } else { query.take("until")? };
        let limit = if form == EventsForm::Page { query.limit(USUAL, MOST)? } else { MOST };
        let at_least = at_least(&mut query, headers)?;
        query.finish()?;
        Ok(Self { form, begin, until, limit, at_least })
    }
}

/// `at_least`, or the header in its place.
pub fn at_least(query: &mut QueryParameters, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    if let Some(given) = query.take("at_least")? {
        return Ok(Some(given));
    }
    let header = headers::single(headers, headers::AT_LEAST)?;
    Ok(header.map(|value| String::from_utf8_lossy(value).into_owned()))
}

fn begin(form: EventsForm, query: &mut QueryParameters, headers: &HeaderMap) -> Result<StartAt, Problem> {
    let cursor = query.take("cursor")?;
    let since = query.parsed("since")?;
    // A reader that comes back asks with the cursor it first came with: what it saw last counts.
    let last = if form == EventsForm::Live { headers::single(headers, LAST_EVENT_ID)? } else { None };
    if let Some(last) = last.filter(|last| !last.is_empty()) {
        let cursor = String::from_utf8_lossy(last).into_owned();
        return Ok(StartAt::After { cursor, given_in: "Last-Event-ID" });
    }
    match (cursor.as_deref(), since) {
        (Some(_), Some(_)) => Err(Problem::parameter("since", "cannot be combined with a cursor")),
        (Some("now"), None) => Ok(StartAt::Now),
        (Some("start"), None) => Ok(StartAt::Start),
        (Some(cursor), None) => Ok(StartAt::After { cursor: cursor.to_owned(), given_in: "cursor" }),
        (None, Some(since)) => Ok(StartAt::Since(since)),
        (None, None) if form == EventsForm::Live => Ok(StartAt::Now),
        (None, None) => Ok(StartAt::Start),
    }
}

/// By `Accept`; a page where anything goes.
fn form(headers: &HeaderMap) -> Result<EventsForm, Problem> {
    const FORMS: [(EventsForm, accept::MediaForm); 3] = [
        (EventsForm::Page, accept::JSON),
        (EventsForm::Lines, accept::LINES),
        (EventsForm::Live, accept::EVENT_STREAM),
    ];
    Ok(FORMS[accept::choose(headers, &FORMS.map(|(_, form)| form))?].0)
}

/// The number that a cursor over these events holds.
pub fn number(text: &str, scope: &EventScope, epoch: Uuid, given_in: &str) -> Result<u64, Problem> {
    let count = match scope {
        EventScope::Room(_) => CursorKind::RoomVersion,
        EventScope::Tenant(_) => CursorKind::Position,
    };
    Cursor::read(text, count, epoch).map_err(|bad: BadCursor| bad.into_problem(given_in))
}

/// The position that `at_least` names: as it is in `Convoke-Position`, or a cursor over the log.
pub fn position(text: &str, epoch: Uuid, given_in: &str) -> Result<Position, Problem> {
    Cursor::read(text, CursorKind::Position, epoch).map_err(|bad| bad.into_problem(given_in))
}

/// The cursor behind a number of these events.
pub fn cursor(scope: &EventScope, epoch: Uuid, number: u64) -> Cursor {
    match scope {
        EventScope::Room(_) => Cursor::room_version(epoch, number),
        EventScope::Tenant(_) => Cursor::position(epoch, number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn read(uri: &str, lines: &[(&'static str, &str)]) -> Result<EventsRequest, Problem> {
        EventsRequest::read(&uri.parse().unwrap(), &headers(lines))
    }

    #[test]
    fn the_form_is_the_one_that_is_accepted() {
        let form_of = |accept: &str| form(&headers(&[("accept", accept)]));
        assert_eq!(form_of("text/*").unwrap(), EventsForm::Live);
        assert_eq!(form_of("application/json;q=0, */*").unwrap(), EventsForm::Lines);
        assert_eq!(form_of("*/*").unwrap(), EventsForm::Page);
        assert_eq!(form(&HeaderMap::new()).unwrap(), EventsForm::Page);
        assert_eq!(form_of("image/png").unwrap_err().status().as_u16(), 406);
    }

    #[test]
    fn a_page_begins_at_the_start_and_a_stream_now() {
        assert_eq!(read("/", &[]).unwrap().begin, StartAt::Start);
        let live = ("accept", "text/event-stream");
        assert_eq!(read("/", &[live]).unwrap().begin, StartAt::Now);
        assert_eq!(read("/?cursor=start", &[live]).unwrap().begin, StartAt::Start);
        assert!(matches!(read("/?since=2026-01-01T00:00:00Z", &[]).unwrap().begin, StartAt::Since(_)));
    }

    #[test]
    fn a_reader_that_comes_back_goes_on_where_it_was() {
        let lines = [("accept", "text/event-stream"), ("last-event-id", "3f2a91c0-v7")];
        let begin = read("/?cursor=3f2a91c0-v1", &lines).unwrap().begin;
        assert_eq!(begin, StartAt::After { cursor: "3f2a91c0-v7".into(), given_in: "Last-Event-ID" });
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        assert!(read("/?cursor=1&since=2026-01-01T00:00:00Z", &[]).is_err());
        assert!(read("/?since=yesterday", &[]).is_err());
        assert!(read("/?until=7", &[("accept", "text/event-stream")]).is_err());
        assert!(read("/?limit=7", &[("accept", "application/x-ndjson")]).is_err());
    }
}
