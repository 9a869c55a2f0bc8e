//! `POST /v1/rooms`: the command `create-room` to a room of its own.

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
use crate::commands::command::{CommandKind, CommandSpec as _};
use crate::commands::room::{CreateRoom, RoomCommand};

const PATH: &str = "/v1/rooms";

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, post(create))
}

pub fn describe(document: &mut OpenApiDocument) {
    let operation = Operation::post(CreateRoom::NAME, CreateRoom::SUMMARY).tag(OperationTag::Rooms);
    openapi::describe_command(document, PATH, operation, &CommandKind::of::<CreateRoom>());
}

async fn create(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    OriginalUri(uri): OriginalUri,
    given: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let parse = |body: &[u8]| {
        let command = RoomCommand::parse(CreateRoom::NAME, body)?;
        Ok((command.wanted_room(), command))
    };
    command_request::run(&api, caller, &uri, &given, &body, parse).await
}
