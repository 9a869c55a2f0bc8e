//! `GET /v1/rooms/{room}/events`: what happened in a room, by room version.

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use super::api::Api;
use super::events_answer;
use super::events_description::describe_events;
use super::events_request::EventsRequest;
use super::openapi::{self, OpenApiDocument, Operation, OperationTag};
use super::problem::Problem;
use super::request::caller::{Authenticated, SessionToken};
use super::request::path::RoomInPath;
use super::rights;
use crate::ids::RoomKey;
use crate::live::follow::EventScope;

pub const PATH: &str = "/v1/rooms/{room}/events";

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(events))
}

pub fn describe(document: &mut OpenApiDocument) {
    let operation = Operation::get("room-events", "Events of a room").tag(OperationTag::Events).about(
        "What happened in the room, in the order of its versions. With `Accept: text/event-stream` live, from now or from a \
         cursor; with `application/x-ndjson` all of a stretch, one event a line; else in pages.\n\nA message that is not for \
         the reader is left out: versions then jump. A live stream ends when the room does; asked for again behind its last \
         event, it is answered 204.",
    );
    describe_events(document, PATH, operation.refusals(openapi::ROOM_NOT_FOUND), "room version");
}

async fn events(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    token: SessionToken,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let request = EventsRequest::read(&uri, &headers)?;
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    let access = rights::inside_room(&api, &caller, &key).await?;
    events_answer::answer(&api, EventScope::Room(key), access, token, request).await
}
