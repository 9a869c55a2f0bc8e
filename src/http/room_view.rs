//! `GET /v1/rooms/{room}`: the room now, or as it was.

use axum::Router;
use axum::body::Body;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::api::Api;
use super::consistent_reads;
use super::openapi::{self, OpenApiDocument, Operation, OperationTag};
use super::problem::{Problem, ProblemCode};
use super::request::caller::Authenticated;
use super::request::etags;
use super::request::headers::{self, POSITION};
use super::request::path::RoomInPath;
use super::request::query::QueryParameters;
use super::rights;
use super::room_version::{self, RoomMoment};
use crate::commands::context::Caller;
use crate::events::room::view::RoomView;
use crate::ids::{Position, RoomKey};
use crate::live::rooms::Shown;

const PATH: &str = "/v1/rooms/{room}";

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(view))
}

pub fn describe(document: &mut OpenApiDocument) {
    let room = document.answer::<RoomView>();
    let operation = Operation::get("room", "One room")
        .tag(OperationTag::Rooms)
        .about(
            "The room as it is, or as it was at a version or at a time (when the log recorded it). The number in the `ETag` is \
             the room's version: `If-None-Match` with it is answered 304 while the room stays as it is.",
        )
        .shared("version")
        .shared("at")
        .shared("at-least")
        .shared("if-none-match")
        .json(200, "The room", &["ETag", "Convoke-Position"], &room)
        .answer(304, "The room still has the version that `If-None-Match` names", &["ETag", "Convoke-Position"], None)
        .problems(&[ProblemCode::Forbidden, ProblemCode::NoSuchVersion, ProblemCode::CursorOfAnotherEpoch])
        .refusals(openapi::ROOM_NOT_FOUND);
    document.add(PATH, operation);
}

async fn view(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = QueryParameters::read(&uri)?;
    let moment = RoomMoment::read(&mut query)?;
    let known = headers::if_none_match(&headers);
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    let (shown, position) = match moment {
        RoomMoment::Now => {
            let wanted = consistent_reads::wanted(&api, &mut query, &headers).await?;
            query.finish()?;
            now(&api, &key, wanted).await?
        }
        RoomMoment::Version(_) | RoomMoment::At(_) => {
            consistent_reads::log_reached(&api, &mut query, &headers).await?;
            query.finish()?;
            past(&api, &caller, &key, moment).await?
        }
    };
    let view = &*shown.view;
    rights::room_itself(&caller, room, view.name.as_deref())?;
    let unchanged = known.is_some_and(|tags| tags.matches_weakly(view.version));
    let etag = etags::etag(view.version);
    let mut response =
        if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { Body::from(shown.json).into_response() };
    let answer = response.headers_mut();
    if !unchanged {
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    answer.insert(POSITION, HeaderValue::from(position));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        answer.insert(header::ETAG, etag);
    }
    Ok(response)
}

async fn now(api: &Api, key: &RoomKey, wanted: Option<Position>) -> Result<(Shown, Position), Problem> {
    let current = api.rooms.current(key, wanted).await?;
    current.view(key.room).ok_or_else(rights::no_such_room)?.map_err(Problem::internal)
}

/// Which versions there are is told to those only who may see the room.
async fn past(api: &Api, caller: &Caller, key: &RoomKey, moment: RoomMoment) -> Result<(Shown, Position), Problem> {
    match at(api, key, moment).await {
        Ok(found) => Ok(found),
        Err(problem) => {
            rights::see_room(api, caller, key).await?;
            Err(problem)
        }
    }
}

async fn at(api: &Api, key: &RoomKey, moment: RoomMoment) -> Result<(Shown, Position), Problem> {
    let loaded = room_version::load(api, key, moment).await?;
    let view = loaded.state.view(key.room, loaded.version).ok_or_else(rights::no_such_room)?;
    Ok((Shown::of(view).map_err(Problem::internal)?, loaded.position))
}
