//! `GET /v1/projections`: how far each read model has come, and whether it stopped.

use axum::extract::{OriginalUri, State};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;

use super::api::Api;
use super::openapi::{OpenApiDocument, Operation, OperationTag};
use super::problem::{Problem, ProblemCode};
use super::request::caller::Authenticated;
use super::request::query::QueryParameters;
use super::rights;
use crate::projections::overview::{self, ProjectionView};
use crate::projections::read::ReadError;

const PATH: &str = "/v1/projections";

/// The read models.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Projections")]
struct ProjectionsAnswer {
    /// By name.
    projections: Vec<ProjectionView>,
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(projections))
}

pub fn describe(document: &mut OpenApiDocument) {
    let projections = document.answer::<ProjectionsAnswer>();
    let operation = Operation::get("projections", "The read models")
        .tag(OperationTag::Operation)
        .about(
            "How far each read model has come and how far it is behind, the digest over its rows, and how far a rebuild of it \
             is. Of all tenants: needs the grant `operator`.",
        )
        .json(200, "The read models", &[], &projections)
        .problem(ProblemCode::Forbidden);
    document.add(PATH, operation);
}

async fn projections(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<ProjectionsAnswer>, Problem> {
    QueryParameters::read(&uri)?.finish()?;
    rights::operator(&caller)?;
    let projections = overview::all(api.log.pool()).await.map_err(ReadError::from)?;
    Ok(Json(ProjectionsAnswer { projections }))
}
