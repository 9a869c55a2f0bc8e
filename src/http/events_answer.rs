//! Events as an answer: a page of JSON, lines of JSON or a live stream, of a room or of all rooms of a tenant.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::api::Api;
use super::consistent_reads;
use super::events_request::{self, EventsForm, EventsRequest, StartAt};
use super::json_answer::{json_answer, list_of};
use super::problem::{Problem, ProblemCode};
use super::request::caller::SessionToken;
use super::rights::ReadAccess;
use super::stream::lines::EventLines;
use super::stream::live::{self, LiveStream};
use crate::commands::room::state::Room;
use crate::events::envelope::Envelope;
use crate::events::time::Timestamp;
use crate::live::event_view::EventView;
use crate::live::follow::{self, EventFollower, EventScope};
use crate::live::published::EventMedium;
use crate::live::renderer::EventRenderer;

/// Ranges of the log that one page looks at, before it is answered with what was found.
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
    scope: EventScope,
    access: ReadAccess,
    token: SessionToken,
    request: EventsRequest,
) -> Result<Response, Problem> {
    let epoch = api.epoch().await?;
    if let Some(given) = &request.at_least {
        let wanted = events_request::position(given, epoch, "at_least")?;
        consistent_reads::reached(api, wanted).await?;
    }
    let after = after(api, &scope, epoch, &request.begin).await?;
    if let StartAt::After { given_in, .. } = &request.begin {
        not_beyond(api, &scope, after, given_in).await?;
    }
    let until =
        request.until.as_deref().map(|text| events_request::number(text, &scope, epoch, "until")).transpose()?;
    let renderer = EventRenderer::new(access.viewer, access.personal);
    let mut response = match request.form {
        EventsForm::Page => page(api, &scope, renderer, (after, until), request.limit, epoch).await,
        EventsForm::Lines => {
            let permit = live::permit(api.stream_permits(), api.metrics.streams_open())?;
            let until = match until {
                Some(until) => until,
                None => follow::newest(&api.live, &scope).await?,
            };
            EventLines { live: api.live.clone(), scope, renderer, after, until, permit }.into_response().await
        }
        EventsForm::Live => live(api, scope, renderer, token, after, epoch).await,
    }?;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

async fn page(
    api: &Api,
    scope: &EventScope,
    mut renderer: EventRenderer,
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
        let mut range = follow::read(&api.live, scope, after, wanted).await?;
        after = range.through.min(until);
        has_more = !range.ended && after < until;
        range.events.retain(|event| scope.number(&event.envelope) <= until);
        let json = |_: &Envelope, json: String| Bytes::from(json);
        let rendered = renderer.render(&api.live, scope, range.events, range.from, EventMedium::Json, json).await?;
        events.extend(rendered.into_iter().map(|(_, json)| json));
    }
    let next_cursor = events_request::cursor(scope, epoch, after).to_string();
    // A cursor has no character that JSON would escape.
    let rest = format!(",\"next_cursor\":\"{next_cursor}\",\"has_more\":{has_more}");
    Ok(json_answer(list_of("events", &events, &rest), position))
}

async fn live(
    api: &Api,
    scope: EventScope,
    renderer: EventRenderer,
    token: SessionToken,
    after: u64,
    epoch: Uuid,
) -> Result<Response, Problem> {
    if api.stop.is_cancelled() {
        return Err(Problem::new(ProblemCode::Stopping, "The server is stopping. Reconnect with your cursor."));
    }
    if over(api, &scope, after).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let permit = live::permit(api.stream_permits(), api.metrics.streams_open())?;
    let follow = EventFollower::new(&api.live, scope, after);
    let stream =
        LiveStream { live: api.live.clone(), follow, renderer, token, epoch, heartbeat: api.streams.heartbeat, permit };
    Ok(stream.into_response())
}

/// Whether the room has ended and the reader has read to its end: nothing will ever come. A reader of server-sent events that
/// is answered 204 does not come back (WHATWG HTML, 9.2.3).
async fn over(api: &Api, scope: &EventScope, after: u64) -> Result<bool, Problem> {
    let EventScope::Room(key) = scope else { return Ok(false) };
    let room = api.rooms.current(key, None).await?;
    Ok(room.read(|room| matches!(room.state, Room::Ended(_)) && after >= room.version))
}

/// The number after which to begin.
async fn after(api: &Api, scope: &EventScope, epoch: Uuid, begin: &StartAt) -> Result<u64, Problem> {
    match begin {
        StartAt::After { cursor, given_in } => events_request::number(cursor, scope, epoch, given_in),
        StartAt::Start => Ok(0),
        StartAt::Now => Ok(follow::newest(&api.live, scope).await?),
        StartAt::Since(since) => before(api, scope, *since).await,
    }
}

/// Refuses a cursor that lies beyond the end. A reader that waited there would miss all that comes until then.
pub async fn not_beyond(api: &Api, scope: &EventScope, after: u64, given_in: &str) -> Result<(), Problem> {
    if matches!(scope, EventScope::Tenant(_)) && after <= api.executor.position() {
        return Ok(());
    }
    let newest = follow::newest(&api.live, scope).await?;
    if after <= newest {
        return Ok(());
    }
    let of = match scope {
        EventScope::Room(_) => "the room is at version",
        EventScope::Tenant(_) => "the log is at position",
    };
    let detail = format!("{after} is beyond the end: {of} {newest}. Begin again from what is there");
    Err(Problem::new(ProblemCode::CursorMalformed, format!("{given_in}: {detail}.")).with_error(given_in, detail))
}

/// The number of the last event recorded before a time.
async fn before(api: &Api, scope: &EventScope, since: Timestamp) -> Result<u64, Problem> {
    match scope {
        EventScope::Tenant(_) => Ok(api.log.position_before(since).await?),
        EventScope::Room(key) => match Timestamp::from_unix_micros(since.unix_micros() - 1) {
            Some(before) => Ok(api.log.version_at(key, before).await?),
            None => Ok(0),
        },
    }
}
