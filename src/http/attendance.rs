//! `GET /v1/rooms/{room}/attendance`: who was in a room, how often and for how long.

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
use crate::projections::sessions::{AttendedSession, Attendee, SessionsModel};

const PATH: &str = "/v1/rooms/{room}/attendance";

/// Somebody who was in the room, or still is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Attendee")]
struct AttendeeAnswer {
    identity: Identity,
    first_seen: Timestamp,
    /// Now, where they are still there.
    last_seen: Timestamp,
    /// Whether they are still there.
    present: bool,
    /// For how many microseconds they were there; what two devices were there for at once counts once.
    attended_us: u64,
    stay_count: u64,
    /// In the order in which they were asked for; of somebody who came very often, the last 100.
    stays: Vec<StayAnswer>,
}

/// A stay of theirs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AttendeeStay")]
struct StayAnswer {
    session: SessionId,
    /// At the join.
    role: Role,
    joined_at: Timestamp,
    /// Absent: it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<LeaveReason>,
}

/// A page of people who were there, by identity.
#[derive(Serialize, JsonSchema)]
struct AttendancePage {
    attendees: Vec<AttendeeAnswer>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl From<Attendee> for AttendeeAnswer {
    fn from(attendee: Attendee) -> Self {
        Self {
            identity: attendee.identity,
            first_seen: attendee.first_seen,
            last_seen: attendee.last_seen,
            present: attendee.present,
            attended_us: attendee.attended_us,
            stay_count: attendee.stay_count,
            stays: attendee.stays.into_iter().map(StayAnswer::from).collect(),
        }
    }
}

impl From<AttendedSession> for StayAnswer {
    fn from(stay: AttendedSession) -> Self {
        let AttendedSession { session, role, joined_at, left_at, reason } = stay;
        Self { session, role, joined_at, left_at, reason }
    }
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(attendance))
}

pub fn describe(document: &mut OpenApiDocument) {
    let page = document.answer::<AttendancePage>();
    let identity = document.answer::<Identity>();
    let operation = Operation::get("attendance", "Attendance of a room")
        .tag(OperationTag::People)
        .about(
            "Attendance by identity: sessions, total time, first join and last leave, by occurred time. Open sessions count up to \
             now.",
        )
        .query("identity", identity, "Of this person only")
        .paged()
        .json(200, "People who were there", &["Convoke-Position"], &page)
        .problems(&[ProblemCode::Forbidden, ProblemCode::CursorMalformed, ProblemCode::CursorOfAnotherEpoch])
        .refusals(openapi::ROOM_NOT_FOUND);
    document.add(PATH, operation);
}

async fn attendance(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = QueryParameters::read(&uri)?;
    let paging = Paging::read(&mut query)?;
    let identity: Option<Identity> = query.parsed("identity")?;
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    rights::inside_room(&api, &caller, &key).await?;
    let ReadSource { models, position } =
        consistent_reads::reading(&api, SessionsModel::NAME, &mut query, &headers).await?;
    query.finish()?;
    let (now, page) = (api.clock.now(), paging.request());
    let page = models.attendance(&key.tenant, room, identity.as_ref(), now, page).await?;
    let page = page.map(AttendeeAnswer::from);
    let mut response = Json(AttendancePage { attendees: page.items, next_cursor: page.next_cursor }).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    Ok(response)
}
