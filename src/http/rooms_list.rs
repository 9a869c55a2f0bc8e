//! `GET /v1/rooms`: the rooms of the tenant, the newest first.

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
use crate::events::room::MAX_LABELS;
use crate::events::room::view::{RoomStatus, RoomView};
use crate::projections::model::ReadModel as _;
use crate::projections::rooms::{RoomFilter, RoomsModel};

const PATH: &str = "/v1/rooms";

/// A page of rooms.
#[derive(Serialize, JsonSchema)]
struct RoomPage {
    rooms: Vec<RoomView>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(list))
}

pub fn describe(document: &mut OpenApiDocument) {
    let page = document.answer::<RoomPage>();
    let status = document.answer::<RoomStatus>();
    let text = json!({ "type": "string" });
    let time = json!({ "type": "string", "format": "date-time" });
    let labels = json!({ "type": "array", "items": { "type": "string", "pattern": "^[^:]+:" } });
    let operation = Operation::get("rooms", "Rooms")
        .tag(OperationTag::Rooms)
        .about("The tenant's rooms, the newest first; those of which all that is asked for is true. Needs the grant `room_list` or `room_admin`.\n\nA page ends at its limit or, where several of `name` and `label` are given, after so many rooms that were looked at: it may hold fewer rooms than `limit`, or none, while there is a `next_cursor`.")
        .query("name", text, "Rooms with this name: at most one that has not ended, and ended ones")
        .query("status", status, "In this state")
        .query("label", labels, "With this label, `KEY:VALUE`; given several times, with all of them")
        .query("created_after", time.clone(), "Created later than this")
        .query("created_before", time, "Created earlier than this")
        .paged()
        .json(200, "Rooms", &["Convoke-Position"], &page)
        .problems(&[ProblemCode::Forbidden, ProblemCode::CursorMalformed, ProblemCode::CursorOfAnotherEpoch]);
    document.add(PATH, operation);
}

async fn list(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = QueryParameters::read(&uri)?;
    let filter = filter(&mut query)?;
    let paging = Paging::read(&mut query)?;
    rights::all_rooms(&caller)?;
    let ReadSource { models, position } =
        consistent_reads::reading(&api, RoomsModel::NAME, &mut query, &headers).await?;
    query.finish()?;
    let page = models.rooms(&caller.tenant, &filter, paging.request()).await?;
    let mut response = Json(RoomPage { rooms: page.items, next_cursor: page.next_cursor }).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    Ok(response)
}

fn filter(query: &mut QueryParameters) -> Result<RoomFilter, Problem> {
    let labels = query.take_all("label");
    // Each is a look-up of its own, and no room has more.
    if labels.len() > MAX_LABELS {
        return Err(Problem::parameter(
            "label",
            format!("is given {} times; a room has at most {MAX_LABELS}", labels.len()),
        ));
    }
    let labels = labels.into_iter().map(|label| match label.split_once(':') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(Problem::parameter("label", "is KEY:VALUE, such as team:blue")),
    });
    Ok(RoomFilter {
        labels: labels.collect::<Result<_, _>>()?,
        name: query.take("name")?,
        status: query.take("status")?.map(|text| status(&text)).transpose()?,
        created_after: query.parsed("created_after")?,
        created_before: query.parsed("created_before")?,
    })
}

fn status(text: &str) -> Result<RoomStatus, Problem> {
    [RoomStatus::Scheduled, RoomStatus::Open, RoomStatus::Ended]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| Problem::parameter("status", "is scheduled, open or ended"))
}
