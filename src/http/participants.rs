//! `GET /v1/rooms/{room}/participants` and `/waiting`: who is in a room, and who waits to be let in.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;

use super::api::Api;
use super::event_view::PersonalView;
use super::fresh::{self, Paging, Reading};
use super::openapi::{self, Document, Operation, Tag};
use super::personal::{Opener, Part};
use super::problem::{Problem, ProblemCode};
use super::request::caller::Signed;
use super::request::headers::POSITION;
use super::request::path::RoomInPath;
use super::request::query::Query;
use super::rights;
use super::room_version::{self, Moment};
use crate::commands::room::state;
use crate::events::envelope::Position;
use crate::events::log::RoomKey;
use crate::events::room::view::{ParticipantView, WaitingView};
use crate::projections::model::ReadModel as _;
use crate::projections::read::Page;
use crate::projections::rooms::{Participant, Rooms, Waiting, page_of_people};

const PARTICIPANTS: &str = "/v1/rooms/{room}/participants";
const WAITING: &str = "/v1/rooms/{room}/waiting";

/// Somebody present.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Participant")]
struct ParticipantAnswer {
    #[serde(flatten)]
    view: ParticipantView,
    /// `display_name` and `metadata`.
    #[serde(flatten)]
    personal: PersonalView,
}

/// Somebody in the lobby.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Waiter")]
struct WaitingAnswer {
    #[serde(flatten)]
    view: WaitingView,
    /// `display_name` and `metadata`.
    #[serde(flatten)]
    personal: PersonalView,
}

/// A page of people present, by identity.
#[derive(Serialize, JsonSchema)]
struct ParticipantPage {
    participants: Vec<ParticipantAnswer>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A page of people in the lobby, in the order in which they asked.
#[derive(Serialize, JsonSchema)]
struct WaitingPage {
    waiting: Vec<WaitingAnswer>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub fn routes() -> Router<Api> {
    Router::new().route(PARTICIPANTS, get(participants)).route(WAITING, get(waiting))
}

pub fn describe(document: &mut Document) {
    let people = document.answer::<ParticipantPage>();
    let lobby = document.answer::<WaitingPage>();
    let problems = [ProblemCode::Forbidden, ProblemCode::CursorMalformed, ProblemCode::CursorOfAnotherEpoch];
    let operation = Operation::get("participants", "People in a room")
        .tag(Tag::People)
        .about("Who is present, by identity, with their tracks; now, or at a version or a time.")
        .shared("version")
        .shared("at")
        .paged()
        .json(200, "People present", &["Convoke-Position"], &people)
        .problems(&problems)
        .problem(ProblemCode::NoSuchVersion)
        .refusals(openapi::ROOM_NOT_FOUND);
    document.add(PARTICIPANTS, operation);
    let operation = Operation::get("waiting", "People in the lobby")
        .tag(Tag::People)
        .about("Who waits to be let in, in the order in which they asked. For staff and servers.")
        .paged()
        .json(200, "People waiting", &["Convoke-Position"], &lobby)
        .problems(&problems)
        .refusals(openapi::ROOM_NOT_FOUND);
    document.add(WAITING, operation);
}

async fn participants(
    State(api): State<Api>,
    Signed(caller): Signed,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = Query::read(&uri)?;
    let moment = Moment::read(&mut query)?;
    let paging = Paging::read(&mut query)?;
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    let access = rights::inside_room(&api, &caller, &key).await?;
    let (page, position) = if moment == Moment::Now {
        let wanted = fresh::wanted(&api, &mut query, &headers).await?;
        query.finish()?;
        let seen = api.cache.people(&key, paging.request(), wanted, &api.patience()).await?;
        (seen.value, seen.at)
    } else {
        fresh::log_reached(&api, &mut query, &headers).await?;
        query.finish()?;
        at(&api, &key, moment, &paging).await?
    };
    let sealed: Vec<_> = page.items.iter().flat_map(|person| [&person.name, &person.metadata]).flatten().collect();
    let opener = Opener::load(&api.sealer, &key, access.personal, &sealed).await?;
    let page = page.map(|person| ParticipantAnswer {
        personal: opener.open(&[(Part::DisplayName, person.name.as_ref()), (Part::Metadata, person.metadata.as_ref())]),
        view: person.view,
    });
    Ok(answer(ParticipantPage { participants: page.items, next_cursor: page.next_cursor }, position))
}

/// The people of a room as it was.
async fn at(
    api: &Api,
    key: &RoomKey,
    moment: Moment,
    paging: &Paging,
) -> Result<(Page<Participant>, Position), Problem> {
    let loaded = room_version::load(api, key, moment).await?;
    let people = loaded
        .state
        .participants()
        .into_iter()
        .map(|state::Participant { view, name, metadata }| Participant { view, name, metadata });
    Ok((page_of_people(people.collect(), paging.request())?, loaded.position))
}

async fn waiting(
    State(api): State<Api>,
    Signed(caller): Signed,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = Query::read(&uri)?;
    let paging = Paging::read(&mut query)?;
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    let access = rights::inside_room(&api, &caller, &key).await?;
    rights::staff(&access)?;
    let Reading { models, position } = fresh::reading(&api, Rooms::NAME, &mut query, &headers).await?;
    query.finish()?;
    let page: Page<Waiting> = models.waiting(&key.tenant, room, paging.request()).await?;
    let sealed: Vec<_> = page.items.iter().filter_map(|person| person.personal.as_ref()).collect();
    let opener = Opener::load(&api.sealer, &key, access.personal, &sealed).await?;
    let page = page.map(|person| WaitingAnswer {
        personal: opener
            .open(&[(Part::DisplayName, person.personal.as_ref()), (Part::Metadata, person.personal.as_ref())]),
        view: person.view,
    });
    Ok(answer(WaitingPage { waiting: page.items, next_cursor: page.next_cursor }, position))
}

fn answer(page: impl Serialize, position: Position) -> Response {
    let mut response = Json(page).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    response
}
