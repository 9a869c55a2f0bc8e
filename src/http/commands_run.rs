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
use super::request::headers::{self, CommandHeaders};
use super::request::path::CommandInPath;
use super::request::query::Query;

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
    Query::read(&uri)?.finish()?;
    headers::json_only(&given)?;
    let mut headers = CommandHeaders::read(&given)?;
    let if_match = headers.if_match.take();
    let command = command_request::parse(&name, &body)?;
    let request = command_request::request(&api, caller, (Some(room), command), headers, (uri.path(), &body));
    let outcome = command_request::execute(&api, request, if_match.as_ref()).await?;
    Ok(command_request::answer(outcome))
}
