//! `GET /v1/usage`: what the tenant used, day by day.

use std::str::FromStr;

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
use super::openapi::{OpenApiDocument, Operation, OperationTag};
use super::problem::{Problem, ProblemCode};
use super::request::caller::Authenticated;
use super::request::headers::POSITION;
use super::request::paging::Paging;
use super::request::query::QueryParameters;
use super::rights;
use crate::events::time::Timestamp;
use crate::projections::model::ReadModel as _;
use crate::projections::usage::{DayQuery, UsageDay, UsageModel};

const PATH: &str = "/v1/usage";
const MINUTE_US: f64 = 60_000_000.0;

/// A day of UTC.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UsageDay")]
struct DayAnswer {
    #[schemars(with = "String", extend("format" = "date"))]
    day: String,
    /// The time spent in rooms, of all stays together, in minutes.
    participant_minutes: f64,
    /// The same in microseconds, exactly.
    participant_us: u64,
    /// Most stays at a time, over all rooms of the tenant; who is there with two devices has two.
    peak_concurrency: u64,
    /// Stays that began.
    joins: u64,
    /// Stays that went on when the day ended, or that go on now.
    open: u64,
    /// Whether it has ended; else all of it is as of now.
    complete: bool,
}

/// A page of days, each of them, the earliest first.
#[derive(Serialize, JsonSchema)]
struct UsagePage {
    days: Vec<DayAnswer>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl From<UsageDay> for DayAnswer {
    fn from(day: UsageDay) -> Self {
        Self {
            day: day.day.utc().format("%F").to_string(),
            // Microseconds of a day beyond 2^53 are so many that their last digits are not missed here.
            participant_minutes: day.participant_us as f64 / MINUTE_US,
            participant_us: day.participant_us,
            peak_concurrency: day.peak,
            joins: day.joins,
            open: day.open,
            complete: day.complete,
        }
    }
}

/// The beginning of a day, as it is asked for.
struct DayParameter(Timestamp);

impl FromStr for DayParameter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let midnight = format!("{text}T00:00:00Z").parse().map(DayParameter);
        midnight.map_err(|_| "is a day such as 2026-01-31")
    }
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(usage))
}

pub fn describe(document: &mut OpenApiDocument) {
    let page = document.answer::<UsagePage>();
    let day = json!({ "type": "string", "format": "date" });
    let operation = Operation::get("usage", "Usage of the tenant")
        .tag(OperationTag::Operation)
        .about(
            "For each day of UTC the time spent in the tenant's rooms and the peak of concurrent sessions, exact, by occurred \
             time: imported history counts on its own days. Open sessions count up to now. Needs the grant `room_list` or \
             `room_admin`.",
        )
        .query("from", day.clone(), "First day; default: the first day with a join")
        .query("until", day, "Last day; default: today")
        .paged()
        .json(200, "Days", &["Convoke-Position"], &page)
        .problems(&[ProblemCode::Forbidden, ProblemCode::CursorMalformed, ProblemCode::CursorOfAnotherEpoch]);
    document.add(PATH, operation);
}

async fn usage(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = QueryParameters::read(&uri)?;
    let paging = Paging::read(&mut query)?;
    let (from, until): (Option<DayParameter>, Option<DayParameter>) = (query.parsed("from")?, query.parsed("until")?);
    rights::all_rooms(&caller)?;
    let ReadSource { models, position } =
        consistent_reads::reading(&api, UsageModel::NAME, &mut query, &headers).await?;
    query.finish()?;
    let days = DayQuery { from: from.map(|day| day.0), until: until.map(|day| day.0), as_of: api.clock.now() };
    let page = models.usage(&caller.tenant, days, paging.request()).await?.map(DayAnswer::from);
    let mut response = Json(UsagePage { days: page.items, next_cursor: page.next_cursor }).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    Ok(response)
}
