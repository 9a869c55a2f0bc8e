//! `POST /v1/rooms/{room}/commands/{command}`: one command to one room.

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;

use super::api::Api;
use super::body::WholeBody;
use super::command_request;
use super::problem::Problem;
use super::request::caller::Signed;
use super::request::path::CommandInPath;
use crate::commands::room::RoomCommand;

pub fn routes() -> Router<Api> {
    Router::new().route("/v1/rooms/{room}/commands/{command}", post(run))
}

async fn run(
    State(api): State<Api>,
    Signed(caller): Signed,
    CommandInPath(room, name): CommandInPath,
    OriginalUri(uri): OriginalUri,
    given: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let parse = |body: &[u8]| Ok((Some(room), RoomCommand::parse(&name, body)?));
    command_request::run(&api, caller, &uri, &given, &body, parse).await
}
