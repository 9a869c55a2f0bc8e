//! `POST /v1/rooms`: the command `create-room` to a room of its own.

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use super::api::Api;
use super::body::WholeBody;
use super::command_request;
use super::openapi::{self, Document, Operation, Tag};
use super::problem::Problem;
use super::request::caller::Signed;
use super::request::headers::{self, CommandHeaders};
use super::request::query::Query;
use crate::commands::command::{Command as _, CommandKind};
use crate::commands::room::{CreateRoom, RoomCommand};

const PATH: &str = "/v1/rooms";

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, post(create))
}

pub fn describe(document: &mut Document) {
    let operation = Operation::post(CreateRoom::NAME, CreateRoom::SUMMARY).tag(Tag::Rooms);
    openapi::describe_command(document, PATH, operation, &CommandKind::of::<CreateRoom>());
}

async fn create(
    State(api): State<Api>,
    Signed(caller): Signed,
    OriginalUri(uri): OriginalUri,
    given: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    Query::read(&uri)?.finish()?;
    headers::json_only(&given)?;
    let mut headers = CommandHeaders::read(&given)?;
    let if_match = headers.if_match.take();
    let command: RoomCommand = command_request::parse(CreateRoom::NAME, &body)?;
    let room = command.wanted_room();
    let request = command_request::request(&api, caller, (room, command), headers, (PATH, &body));
    let outcome = command_request::execute(&api, request, if_match.as_ref()).await?;
    Ok(command_request::answer(outcome))
}
