//! `GET /v1/rooms/{room}/timeline`: the events of a room as sentences for people.
//!
//! The timeline is rendered from the log on each read. A table of lines would duplicate the log and, since lines name people, an
//! erasure would have to clean it; rights are decided event by event, as for [the events](super::room_events). Names and owners
//! of tracks from earlier events come from the room's state at the beginning of the page, which snapshots provide for rooms of
//! any age.

mod describe;
mod name_table;
mod sentence;

use crate::ids::{RoomKey, RoomVersion};
use std::fmt::Write as _;

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::api::Api;
use super::consistent_reads;
use super::events_answer::{STRETCHES, not_beyond};
use super::openapi::{self, OpenApiDocument, Operation, OperationTag};
use super::problem::{Problem, ProblemCode};
use super::request::accept;
use super::request::caller::Authenticated;
use super::request::headers::POSITION;
use super::request::paging::{self, Paging};
use super::request::path::RoomInPath;
use super::request::query::QueryParameters;
use super::rights::{self, ReadAccess};
use crate::commands::room::state::Room;
use crate::events::time::Timestamp;
use crate::live::cursor::{Cursor, CursorKind};
use crate::live::follow::{self, EventScope};
use crate::live::renderer::{EventRenderer, VisibleEvent};
use name_table::NameTable;
use sentence::Sentence;

const PATH: &str = "/v1/rooms/{room}/timeline";

/// Something that happened.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TimelineLine")]
struct TimelineLine {
    /// Of the event that the line tells.
    room_version: RoomVersion,
    /// When it happened.
    at: Timestamp,
    /// Of the event.
    #[serde(rename = "type")]
    event_type: String,
    /// A sentence in English, without a full stop. For people: programs read the events.
    text: String,
}

/// A page of lines, in the order of the room's versions.
#[derive(Serialize, JsonSchema)]
struct TimelinePage {
    lines: Vec<TimelineLine>,
    /// Where to go on, be it for what has not happened yet.
    next_cursor: String,
    /// There is more behind this page now.
    has_more: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TimelineForm {
    Json,
    Text,
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(timeline))
}

pub fn describe(document: &mut OpenApiDocument) {
    let page = document.answer::<TimelinePage>();
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": paging::MOST, "default": paging::USUAL });
    let operation = Operation::get("timeline", "Timeline of a room")
        .tag(OperationTag::Events)
        .about(
            "What happened in the room, a sentence for each event. People are called by their names where the token may see \
             them, else by their identities; who was forgotten is `somebody (erased)`. A message that is not for the reader is \
             left out. With `Accept: text/plain` a line of text each, and `Link` with `rel=\"next\"` where there is more.",
        )
        .query("limit", limit, "Lines of a page, at most")
        .query("cursor", json!({ "type": "string" }), "`next_cursor` of the page before, or a room version: go on after this")
        .shared("at-least")
        .answer(
            200,
            "Lines, in the form that `Accept` asks for",
            &["Convoke-Position"],
            Some(json!({
                "application/json": { "schema": page },
                "text/plain": { "schema": { "type": "string" } },
            })),
        )
        .problems(&[ProblemCode::Forbidden, ProblemCode::NotAcceptable, ProblemCode::CursorMalformed])
        .problem(ProblemCode::CursorOfAnotherEpoch)
        .refusals(openapi::ROOM_NOT_FOUND);
    document.add(PATH, operation);
}

async fn timeline(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let form = form(&headers)?;
    let mut query = QueryParameters::read(&uri)?;
    let paging = Paging::read(&mut query)?;
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    let access = rights::inside_room(&api, &caller, &key).await?;
    consistent_reads::log_reached(&api, &mut query, &headers).await?;
    query.finish()?;
    let epoch = api.epoch().await?;
    let after = match &paging.cursor {
        None => 0,
        Some(cursor) => {
            Cursor::read(cursor, CursorKind::RoomVersion, epoch).map_err(|bad| bad.into_problem("cursor"))?
        }
    };
    // Told of before it is read: what comes meanwhile may not be on the page.
    let position = api.executor.position();
    let page = page(&api, &key, access, after, paging.limit, epoch).await?;
    let mut response = match form {
        TimelineForm::Json => Json(page).into_response(),
        TimelineForm::Text => text(&page, &uri, paging.limit),
    };
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

async fn page(
    api: &Api,
    key: &RoomKey,
    access: ReadAccess,
    mut after: RoomVersion,
    limit: usize,
    epoch: Uuid,
) -> Result<TimelinePage, Problem> {
    let scope = EventScope::Room(key.clone());
    let mut names = NameTable::of(&Room::Absent);
    if after > 0 {
        not_beyond(api, &scope, after, "cursor").await?;
        names = NameTable::of(&api.rooms.at_version(key, after).await?.state);
    }
    let mut renderer = EventRenderer::new(access.viewer, access.personal);
    let mut described: Vec<(RoomVersion, Timestamp, String, Sentence)> = Vec::new();
    let mut has_more = true;
    for _ in 0..STRETCHES {
        if !has_more || described.len() >= limit {
            break;
        }
        let range = follow::read(&api.live, &scope, after, limit - described.len()).await?;
        after = range.through;
        has_more = !range.ended;
        for VisibleEvent { event, without_who } in renderer.visible(&api.live, &scope, range.events).await? {
            let envelope = &*event.envelope;
            // Also what is told without who gives somebody their name, for when they are let in.
            let whole = names.describe(envelope);
            let sentence = if without_who { describe::without_who(envelope) } else { whole };
            described.push((envelope.room_version, envelope.happened_at(), envelope.event_type.to_string(), sentence));
        }
    }
    let keys = if access.personal {
        let sealed = described.iter().flat_map(|(.., sentence)| sentence.sealed());
        Some(api.sealer.load_keys(&key.tenant, sealed).await?)
    } else {
        None
    };
    let lines = described.into_iter().map(|(room_version, at, event_type, sentence)| TimelineLine {
        room_version,
        at,
        event_type,
        text: sentence.read(key, keys.as_ref().filter(|_| renderer.opens(room_version))),
    });
    let next_cursor = Cursor::room_version(epoch, after).to_string();
    Ok(TimelinePage { lines: lines.collect(), next_cursor, has_more })
}

fn text(page: &TimelinePage, uri: &Uri, limit: usize) -> Response {
    let mut text = String::new();
    for line in &page.lines {
        // Writing to a string cannot fail.
        _ = writeln!(text, "{}  {}", line.at.utc().format("%F %T"), line.text);
    }
    let mut response = text.into_response();
    let next = format!("<{}?limit={limit}&cursor={}>; rel=\"next\"", uri.path(), page.next_cursor);
    if page.has_more
        && let Ok(next) = HeaderValue::from_str(&next)
    {
        response.headers_mut().insert(header::LINK, next);
    }
    response
}

/// By `Accept`; JSON where anything goes.
fn form(headers: &HeaderMap) -> Result<TimelineForm, Problem> {
    match accept::choose(headers, &[accept::JSON, accept::TEXT])? {
        0 => Ok(TimelineForm::Json),
        _ => Ok(TimelineForm::Text),
    }
}
