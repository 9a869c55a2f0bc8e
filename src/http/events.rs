//! `GET /v1/events`: what happened in all rooms of the tenant, by position.

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;

use super::api::Api;
use super::events_answer;
use super::events_description::describe_events;
use super::events_request::EventsRequest;
use super::openapi::{OpenApiDocument, Operation, OperationTag};
use super::problem::Problem;
use super::request::caller::{Authenticated, SessionToken};
use super::rights;
use crate::live::follow::EventScope;

pub const PATH: &str = "/v1/events";

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(events))
}

pub fn describe(document: &mut OpenApiDocument) {
    let operation = Operation::get("events", "Events of all rooms").tag(OperationTag::Events).about(
        "What happened in all rooms of the tenant, in the order of the log. Forms and cursors as for one room. Needs the \
         grant `room_list`, which sees messages to everyone and no personal fields, or `room_admin`, which sees all.",
    );
    describe_events(document, PATH, operation, "position");
}

async fn events(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    token: SessionToken,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let request = EventsRequest::read(&uri, &headers)?;
    let access = rights::all_rooms(&caller)?;
    events_answer::answer(&api, EventScope::Tenant(caller.tenant.clone()), access, token, request).await
}
