//! `GET /v1/log`: how far the log has come, which history it is, and the partitions that it lies in.

use crate::live::cursor::Cursor;
use axum::extract::{OriginalUri, State};
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use super::api::Api;
use super::openapi::{OpenApiDocument, Operation, OperationTag};
use super::problem::{Problem, ProblemCode};
use super::request::caller::Authenticated;
use super::request::headers::POSITION;
use super::request::query::QueryParameters;
use super::rights;
use crate::events::log::partition_status::Partition;
use crate::events::time::Timestamp;
use crate::ids::Position;

const PATH: &str = "/v1/log";

/// The log of all tenants, as a whole.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Log")]
struct LogAnswer {
    /// Of the last event; 0: the log is empty.
    position: Position,
    /// Of the last event.
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_at: Option<Timestamp>,
    /// Which history this is: another one after a restore that lost events.
    epoch: Uuid,
    /// Behind the last event: what `/v1/events` goes on from.
    cursor: String,
    /// Until when there are partitions without a gap; absent: not even now.
    #[serde(skip_serializing_if = "Option::is_none")]
    covered_until: Option<Timestamp>,
    /// By time.
    partitions: Vec<Partition>,
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(log))
}

pub fn describe(document: &mut OpenApiDocument) {
    let log = document.answer::<LogAnswer>();
    let operation = Operation::get("log", "The log")
        .tag(OperationTag::Operation)
        .about("How far the log has come, which history it is, and its partitions. Of all tenants: needs the grant `operator`.")
        .json(200, "The log", &["Convoke-Position"], &log)
        .problem(ProblemCode::Forbidden);
    document.add(PATH, operation);
}

async fn log(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Problem> {
    QueryParameters::read(&uri)?.finish()?;
    rights::operator(&caller)?;
    let head = api.log.head().await?;
    let answer = LogAnswer {
        position: head.position,
        recorded_at: head.recorded_at,
        epoch: head.epoch,
        cursor: Cursor::position(head.epoch, head.position).to_string(),
        covered_until: api.log.covered_until(api.clock.now()).await?,
        partitions: api.log.partitions().await?,
    };
    let mut response = Json(answer).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(head.position));
    Ok(response)
}
