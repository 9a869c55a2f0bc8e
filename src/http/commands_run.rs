//! `POST /v1/rooms/{room}/commands/{command}`: one command to one room.

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use super::api::Api;
use super::body::WholeBody;
use super::command_request;
use super::openapi::{self, OpenApiDocument, Operation, OperationTag};
use super::problem::Problem;
use super::request::caller::Authenticated;
use super::request::path::CommandInPath;
use crate::commands::command::CommandSpec as _;
use crate::commands::room::{CreateRoom, RoomCommand};

pub fn routes() -> Router<Api> {
    Router::new().route("/v1/rooms/{room}/commands/{command}", post(run))
}

/// Every command, each an operation of its own.
pub fn describe(document: &mut OpenApiDocument) {
    for kind in RoomCommand::catalogue() {
        // The plain name is that of `POST /v1/rooms`.
        let id = if kind.name == CreateRoom::NAME { "create-room-under-id" } else { kind.name };
        let operation = Operation::post(id, kind.summary).tag(OperationTag::Commands);
        openapi::describe_command(document, &format!("/v1/rooms/{{room}}/commands/{}", kind.name), operation, &kind);
    }
}

async fn run(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    CommandInPath(room, name): CommandInPath,
    OriginalUri(uri): OriginalUri,
    given: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let parse = |body: &[u8]| Ok((Some(room), RoomCommand::parse(&name, body)?));
    command_request::run(&api, caller, &uri, &given, &body, parse).await
}
