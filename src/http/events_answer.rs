//! Events as an answer: a page of JSON, lines of JSON or a live stream, of a room or of all rooms of a tenant.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use uuid::Uuid;

use super::api::Api;
use super::event_view::EventView;
use super::events_request::{self, Begin, EventsRequest, Form};
use super::json_answer::{json_answer, list_of};
use super::problem::{Problem, ProblemCode};
use super::request::caller::Pass;
use super::rights::Access;
use super::stream::follow::{self, Follow, Whose};
use super::stream::lines::Lines;
use super::stream::live::{self, Live};
use super::stream::show::Show;
use crate::events::envelope::Position;
use crate::events::time::Timestamp;
use crate::live::rooms::{Part, SharedEvent};

/// Stretches of the log that one page looks at, before it is answered with what was found.
pub const STRETCHES: usize = 8;

/// A page of events.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "EventPage")]
pub struct EventPage {
    #[schemars(with = "Vec<EventView<'static>>")]
    events: Vec<Box<RawValue>>,
    /// Where to go on, be it for what has not happened yet.
    next_cursor: String,
    /// There are more events behind this page now.
    has_more: bool,
}

/// Answers a request for events to a caller who has `access` to them.
pub async fn answer(
    api: &Api,
    whose: Whose,
    access: Access,
    pass: Pass,
    request: EventsRequest,
) -> Result<Response, Problem> {
    let epoch = api.epoch().await?;
    if let Some(given) = &request.at_least {
        let wanted = events_request::position(given, epoch, "at_least")?;
        reached(api, wanted).await?;
    }
    let after = after(api, &whose, epoch, &request.begin).await?;
    if let Begin::After { given_in, .. } = &request.begin {
        not_beyond(api, &whose, after, given_in).await?;
    }
    let until =
        request.until.as_deref().map(|text| events_request::number(text, &whose, epoch, "until")).transpose()?;
    let show = Show::new(api, &whose, access.reader, access.personal);
    let mut response = match request.form {
        Form::Page => page(api, &whose, show, (after, until), request.limit, epoch).await,
        Form::Lines => {
            let ticket = live::ticket(api.stream_permits(), api.metrics.streams_open())?;
            let until = match until {
                Some(until) => until,
                None => follow::newest(&api.log, &whose).await?,
            };
            Lines { log: api.log.clone(), whose, show, after, until, ticket }.into_response().await
        }
        Form::Live => live(api, whose, show, pass, after, epoch).await,
    }?;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

async fn page(
    api: &Api,
    whose: &Whose,
    mut show: Show,
    (mut after, until): (u64, Option<u64>),
    limit: usize,
    epoch: Uuid,
) -> Result<Response, Problem> {
    // Told of before it is read: what comes meanwhile may not be on the page.
    let position = api.executor.position();
    let until = until.unwrap_or(u64::MAX);
    let mut events = Vec::with_capacity(limit.min(follow::PAGE));
    let mut has_more = after < until;
    for _ in 0..STRETCHES {
        if !has_more || events.len() >= limit {
            break;
        }
        let wanted = limit - events.len();
        if let Some((mut found, ended)) = in_memory(api, whose, after, wanted).await? {
            after = found.last().map_or(after, |last| last.envelope.room_version).min(until);
            has_more = !ended && after < until;
            found.retain(|event| event.envelope.room_version <= until);
            events.extend(show.show_shared(&found).await?);
            continue;
        }
        let mut page = follow::read(&api.log, whose, after, wanted).await?;
        after = page.through.min(until);
        has_more = !page.ended && after < until;
        page.events.retain(|event| whose.number(event) <= until);
        events.extend(show.show(page.events, false).await?.into_iter().map(|shown| Bytes::from(shown.json)));
    }
    let next_cursor = events_request::cursor(whose, epoch, after).to_string();
    // A cursor has no character that JSON would escape.
    let rest = format!(",\"next_cursor\":\"{next_cursor}\",\"has_more\":{has_more}");
    Ok(json_answer(list_of("events", &events, &rest), position))
}

/// Events of a room in use, if those wanted are in memory.
async fn in_memory(api: &Api, whose: &Whose, after: u64, limit: usize) -> Result<Option<Part<SharedEvent>>, Problem> {
    match whose {
        Whose::Room(key) if api.rooms.is_in_use(key) => {
            let current = api.rooms.current(key, None).await?;
            Ok(api.rooms.events(key, &current, after, limit).await?)
        }
        Whose::Room(_) | Whose::Tenant(_) => Ok(None),
    }
}

async fn live(api: &Api, whose: Whose, show: Show, pass: Pass, after: u64, epoch: Uuid) -> Result<Response, Problem> {
    if api.stop.is_cancelled() {
        return Err(Problem::new(ProblemCode::Stopping, "The server is stopping. Reconnect with your cursor."));
    }
    if over(api, &whose, after).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let ticket = live::ticket(api.stream_permits(), api.metrics.streams_open())?;
    let follow = Follow::new(api.log.clone(), &api.hub, whose, after);
    let (heartbeat, stop) = (api.streams.heartbeat, api.stop.clone());
    Ok(Live { follow, show, pass, epoch, heartbeat, stop, ticket }.into_response())
}

/// Whether the room has ended and the reader has read to its end: nothing will ever come. A reader of server-sent events that
/// is answered 204 does not come back (WHATWG HTML, 9.2.3).
async fn over(api: &Api, whose: &Whose, after: u64) -> Result<bool, Problem> {
    let Whose::Room(key) = whose else { return Ok(false) };
    let Some(head) = api.log.room_head(key).await? else { return Ok(false) };
    if after < head.version {
        return Ok(false);
    }
    let last = api.log.read_room(key, head.version - 1, Some(head.last_recorded_at), 1).await?;
    Ok(last.last().is_some_and(|last| &*last.event_type == "room.ended"))
}

/// The number after which to begin.
async fn after(api: &Api, whose: &Whose, epoch: Uuid, begin: &Begin) -> Result<u64, Problem> {
    match begin {
        Begin::After { cursor, given_in } => events_request::number(cursor, whose, epoch, given_in),
        Begin::Start => Ok(0),
        Begin::Now => Ok(follow::newest(&api.log, whose).await?),
        Begin::Since(since) => before(api, whose, *since).await,
    }
}

/// Refuses a cursor that lies beyond the end. A reader that waited there would miss all that comes until then.
pub async fn not_beyond(api: &Api, whose: &Whose, after: u64, given_in: &str) -> Result<(), Problem> {
    if matches!(whose, Whose::Tenant(_)) && after <= api.executor.position() {
        return Ok(());
    }
    let newest = follow::newest(&api.log, whose).await?;
    if after <= newest {
        return Ok(());
    }
    let of = match whose {
        Whose::Room(_) => "the room is at version",
        Whose::Tenant(_) => "the log is at position",
    };
    let detail = format!("{after} is beyond the end: {of} {newest}. Begin again from what is there");
    Err(Problem::new(ProblemCode::CursorMalformed, format!("{given_in}: {detail}.")).with_error(given_in, detail))
}

/// The number of the last event recorded before a time.
async fn before(api: &Api, whose: &Whose, since: Timestamp) -> Result<u64, Problem> {
    match whose {
        Whose::Tenant(_) => Ok(api.log.position_before(since).await?),
        Whose::Room(key) => match Timestamp::from_unix_micros(since.unix_micros() - 1) {
            Some(before) => Ok(api.log.version_at(key, before).await?),
            None => Ok(0),
        },
    }
}

/// Waits, a bounded time, until this process knows that the log has come to a position.
pub async fn reached(api: &Api, wanted: Position) -> Result<(), Problem> {
    let mut head: watch::Receiver<Position> = api.log.head_watch();
    let known = *head.borrow();
    if known >= wanted || api.log.head().await?.position >= wanted {
        return Ok(());
    }
    let coming = head.wait_for(|position| *position >= wanted);
    let came = tokio::time::timeout(api.http.at_least_timeout, coming).await.is_ok();
    if came {
        return Ok(());
    }
    let at = api.log.head().await?.position;
    let detail = format!("The log is at position {at} and has not reached {wanted}.");
    Err(Problem::new(ProblemCode::PositionNotReached, detail).with("position", at))
}
