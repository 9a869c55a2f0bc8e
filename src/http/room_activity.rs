//! `GET /v1/rooms/{room}/activity`: what went on in a room, hour by hour.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

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
use crate::events::time::Timestamp;
use crate::ids::RoomKey;
use crate::projections::activity::{ActivityHour, ActivityModel, HourQuery};
use crate::projections::model::ReadModel as _;

const PATH: &str = "/v1/rooms/{room}/activity";

/// An hour of UTC in which somebody was in the room or something happened in it.
#[derive(Serialize, JsonSchema)]
struct HourAnswer {
    /// Its beginning.
    hour: Timestamp,
    /// Stays that began.
    joins: u64,
    /// Most stays at a time; who is there with two devices has two.
    peak_present: u64,
    /// Messages that were sent, whoever they were for.
    messages: u64,
    /// For how many microseconds a screen was shared; with several at once, those in which there was any.
    screen_shared_us: u64,
    /// Whether it has ended; else all of it is as of now.
    complete: bool,
}

/// A page of hours, the earliest first.
#[derive(Serialize, JsonSchema)]
struct ActivityPage {
    hours: Vec<HourAnswer>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl From<ActivityHour> for HourAnswer {
    fn from(hour: ActivityHour) -> Self {
        Self {
            hour: hour.hour,
            joins: hour.joins,
            peak_present: hour.peak,
            messages: hour.messages,
            screen_shared_us: hour.screen_us,
            complete: hour.complete,
        }
    }
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(activity))
}

pub fn describe(document: &mut OpenApiDocument) {
    let page = document.answer::<ActivityPage>();
    let time = json!({ "type": "string", "format": "date-time" });
    let operation = Operation::get("room-activity", "Activity in a room")
        .tag(OperationTag::Rooms)
        .about(
            "Activity for each hour of UTC, by occurred time. Hours without participants and events are omitted. Open sessions and \
             shares count up to now.",
        )
        .query("from", time.clone(), "From the hour in which this time lies")
        .query("until", time, "To the hour in which this time lies, that included")
        .paged()
        .json(200, "Hours", &["Convoke-Position"], &page)
        .problems(&[ProblemCode::Forbidden, ProblemCode::CursorMalformed, ProblemCode::CursorOfAnotherEpoch])
        .refusals(openapi::ROOM_NOT_FOUND);
    document.add(PATH, operation);
}

async fn activity(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = QueryParameters::read(&uri)?;
    let paging = Paging::read(&mut query)?;
    let (from, until) = (query.parsed("from")?, query.parsed("until")?);
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    rights::inside_room(&api, &caller, &key).await?;
    let ReadSource { models, position } =
        consistent_reads::reading(&api, ActivityModel::NAME, &mut query, &headers).await?;
    query.finish()?;
    let hours = HourQuery { from, until, as_of: api.clock.now() };
    let page = models.activity(&key.tenant, room, hours, paging.request()).await?.map(HourAnswer::from);
    let mut response = Json(ActivityPage { hours: page.items, next_cursor: page.next_cursor }).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    Ok(response)
}
