//! `POST /v1/commands/{command}`: one command to the tenant itself.

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
use super::request::path::CommandOfTenantInPath;
use crate::commands::room::RoomCommand;
use crate::ids::RoomId;

pub fn routes() -> Router<Api> {
    Router::new().route("/v1/commands/{command}", post(run))
}

pub fn describe(document: &mut OpenApiDocument) {
    for kind in RoomCommand::catalogue_of_tenant() {
        let operation = Operation::post(kind.name, kind.summary).tag(OperationTag::Tenant);
        openapi::describe_command(document, &path(kind.name), operation, &kind);
    }
}

/// Where a command goes that is sent by itself.
fn path(command: &str) -> String {
    format!("/v1/commands/{command}")
}

async fn run(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    CommandOfTenantInPath(name): CommandOfTenantInPath,
    OriginalUri(uri): OriginalUri,
    given: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    let parse = |body: &[u8]| Ok((Some(RoomId::TENANT), RoomCommand::parse_of_tenant(&name, body)?));
    command_request::run(&api, caller, &uri, &given, &body, parse).await
}
