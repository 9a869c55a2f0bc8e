//! `GET /v1/rooms/{room}/sessions`: who ever was in a room, from when to when.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;

use super::api::Api;
use super::consistent_reads::{self, ReadSource};
use super::openapi::{self, OpenApiDocument, Operation, OperationTag};
use super::problem::{Problem, ProblemCode};
use super::request::caller::Authenticated;
use super::request::headers::POSITION;
use super::request::paging::Paging;
use super::request::path::RoomInPath;
use super::request::query::QueryParameters;
use super::rights;
use crate::events::room::{LeaveReason, Role};
use crate::events::time::Timestamp;
use crate::ids::{Identity, RoomKey, SessionId};
use crate::projections::model::ReadModel as _;
use crate::projections::sessions::{SessionRow, SessionsModel};

const PATH: &str = "/v1/rooms/{room}/sessions";

/// A stay of somebody in a room.
#[derive(Serialize, JsonSchema)]
struct Session {
    session: SessionId,
    identity: Identity,
    /// At the join.
    role: Role,
    joined_at: Timestamp,
    /// Absent: they are still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_at: Option<Timestamp>,
    /// Whole seconds stayed, by the times at which join and leave happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<LeaveReason>,
}

/// A page of stays, in the order in which people asked to join.
#[derive(Serialize, JsonSchema)]
struct SessionPage {
    sessions: Vec<Session>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl From<SessionRow> for Session {
    fn from(row: SessionRow) -> Self {
        Self {
            session: row.session,
            identity: row.identity,
            role: row.role.0,
            joined_at: row.joined_at,
            left_at: row.left_at,
            seconds: row.seconds,
            reason: row.reason.map(|reason| reason.0),
        }
    }
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(sessions))
}

pub fn describe(document: &mut OpenApiDocument) {
    let page = document.answer::<SessionPage>();
    let operation = Operation::get("sessions", "Sessions of a room")
        .tag(OperationTag::People)
        .about("All sessions: join, leave, reason and duration.")
        .paged()
        .json(200, "Stays", &["Convoke-Position"], &page)
        .problems(&[ProblemCode::Forbidden, ProblemCode::CursorMalformed, ProblemCode::CursorOfAnotherEpoch])
        .refusals(openapi::ROOM_NOT_FOUND);
    document.add(PATH, operation);
}

async fn sessions(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = QueryParameters::read(&uri)?;
    let paging = Paging::read(&mut query)?;
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    rights::inside_room(&api, &caller, &key).await?;
    let ReadSource { models, position } =
        consistent_reads::reading(&api, SessionsModel::NAME, &mut query, &headers).await?;
    query.finish()?;
    let page = models.sessions(&key.tenant, room, paging.request()).await?.map(Session::from);
    let mut response = Json(SessionPage { sessions: page.items, next_cursor: page.next_cursor }).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    Ok(response)
}
