//! `GET /v1/rooms/{room}/participants` and `/waiting`: who is in a room, and who waits to be let in.

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;

use super::api::Api;
use super::consistent_reads;
use super::json_answer::json_answer;
use super::openapi::{self, OpenApiDocument, Operation, OperationTag};
use super::personal::{FieldOpener, PersonalField};
use super::problem::{Problem, ProblemCode};
use super::request::caller::Authenticated;
use super::request::headers::POSITION;
use super::request::paging::Paging;
use super::request::path::RoomInPath;
use super::request::query::QueryParameters;
use super::rights::{self, ReadAccess};
use super::room_version::{self, RoomMoment};
use crate::commands::context::Caller;
use crate::commands::execute::load::LoadedRoom;
use crate::commands::room::state::{ShownParticipant, ShownWaiter};
use crate::events::room::view::{ParticipantView, WaitingView};
use crate::ids::{Position, RoomKey, RoomVersion};
use crate::live::event_view::PersonalView;
use crate::live::rooms::{CurrentRoom, PageKey, RenderedPage};
use crate::projections::read::ModelPage;
use crate::projections::rooms::{lobby_cursor, people_cursor, read_lobby_cursor, read_people_cursor};

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

pub fn describe(document: &mut OpenApiDocument) {
    let people = document.answer::<ParticipantPage>();
    let lobby = document.answer::<WaitingPage>();
    let problems = [ProblemCode::Forbidden, ProblemCode::CursorMalformed, ProblemCode::CursorOfAnotherEpoch];
    let operation = Operation::get("participants", "People in a room")
        .tag(OperationTag::People)
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
        .tag(OperationTag::People)
        .about("Who waits to be let in, in the order in which they asked. For staff and servers.")
        .paged()
        .json(200, "People waiting", &["Convoke-Position"], &lobby)
        .problems(&problems)
        .refusals(openapi::ROOM_NOT_FOUND);
    document.add(WAITING, operation);
}

async fn participants(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = QueryParameters::read(&uri)?;
    let moment = RoomMoment::read(&mut query)?;
    let paging = Paging::read(&mut query)?;
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    if moment == RoomMoment::Now {
        let wanted = consistent_reads::wanted(&api, &mut query, &headers).await?;
        query.finish()?;
        return present(&api, &caller, &key, wanted, paging).await;
    }
    let access = rights::inside_room(&api, &caller, &key).await?;
    consistent_reads::log_reached(&api, &mut query, &headers).await?;
    query.finish()?;
    let (page, position) = at(&api, &key, moment, &paging).await?;
    Ok(answer(people_page(&api, &key, &access, page).await?, position))
}

async fn people_page(
    api: &Api,
    key: &RoomKey,
    access: &ReadAccess,
    page: ModelPage<ShownParticipant>,
) -> Result<ParticipantPage, Problem> {
    let sealed: Vec<_> = page.items.iter().flat_map(|person| [&person.name, &person.metadata]).flatten().collect();
    let opener = FieldOpener::load(&api.sealer, key, access.personal, &sealed).await?;
    let page = page.map(|person| ParticipantAnswer {
        personal: opener.open(&[
            (PersonalField::DisplayName, person.name.as_ref()),
            (PersonalField::Metadata, person.metadata.as_ref()),
        ]),
        view: person.view,
    });
    Ok(ParticipantPage { participants: page.items, next_cursor: page.next_cursor })
}

/// A page made before, or what one is made of, with its version.
enum PageSource<T> {
    Made(Bytes),
    Parts(RoomVersion, ModelPage<T>),
}

fn people_page_of(people: Vec<ShownParticipant>, more: bool) -> ModelPage<ShownParticipant> {
    let next_cursor = people.last().filter(|_| more).map(|last| people_cursor(&last.view.identity));
    ModelPage { items: people, next_cursor }
}

/// Who is present now.
async fn present(
    api: &Api,
    caller: &Caller,
    key: &RoomKey,
    wanted: Option<Position>,
    paging: Paging,
) -> Result<Response, Problem> {
    let after = read_people_cursor(paging.cursor.as_deref())?;
    // Before keys are loaded: a page opened with a key that is forgotten meanwhile is of another moment.
    let moment = api.sealer.moment();
    let name = |access: &ReadAccess| PageKey {
        list: "participants",
        limit: paging.limit,
        cursor: paging.cursor.clone(),
        opened: access.personal,
    };
    let take = |room: &LoadedRoom, access: &ReadAccess, current: &CurrentRoom| {
        if let Some(made) = current.page(&name(access), room.version, moment) {
            return PageSource::Made(made);
        }
        let (people, more) = room.state.participants_after(after.as_ref(), paging.limit);
        PageSource::Parts(room.version, people_page_of(people, more))
    };
    let inside = rights::look_inside(api, caller, key, wanted, take).await?;
    let page = match inside.taken {
        PageSource::Made(page) => page,
        PageSource::Parts(version, page) => {
            let page = people_page(api, key, &inside.access, page).await?;
            let page = Bytes::from(serde_json::to_vec(&page).map_err(Problem::internal)?);
            let made = RenderedPage { version, moment, page: page.clone() };
            api.rooms.keep_page(key, &inside.room, name(&inside.access), made);
            page
        }
    };
    Ok(json_answer(page, inside.position))
}

/// The people of a room as it was.
async fn at(
    api: &Api,
    key: &RoomKey,
    moment: RoomMoment,
    paging: &Paging,
) -> Result<(ModelPage<ShownParticipant>, Position), Problem> {
    let after = read_people_cursor(paging.cursor.as_deref())?;
    let loaded = room_version::load(api, key, moment).await?;
    let (people, more) = loaded.state.participants_after(after.as_ref(), paging.limit);
    Ok((people_page_of(people, more), loaded.position))
}

async fn waiting(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = QueryParameters::read(&uri)?;
    let paging = Paging::read(&mut query)?;
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    let wanted = consistent_reads::wanted(&api, &mut query, &headers).await?;
    query.finish()?;
    let after = read_lobby_cursor(paging.cursor.as_deref())?;
    let take = |room: &LoadedRoom, _: &ReadAccess, _: &CurrentRoom| room.state.waiting_after(after, paging.limit);
    let inside = rights::look_inside(&api, &caller, &key, wanted, take).await?;
    rights::staff(&inside.access)?;
    let (waiting, more) = inside.taken;
    let next_cursor = waiting.last().filter(|_| more).map(|(since, _)| lobby_cursor(*since));
    let items = waiting.into_iter().map(|(_, waiting)| waiting).collect();
    let page = lobby_page(&api, &key, &inside.access, ModelPage { items, next_cursor }).await?;
    Ok(answer(page, inside.position))
}

async fn lobby_page(
    api: &Api,
    key: &RoomKey,
    access: &ReadAccess,
    page: ModelPage<ShownWaiter>,
) -> Result<WaitingPage, Problem> {
    let sealed: Vec<_> = page.items.iter().filter_map(|person| person.personal.as_ref()).collect();
    let opener = FieldOpener::load(&api.sealer, key, access.personal, &sealed).await?;
    let page = page.map(|person| WaitingAnswer {
        personal: opener.open(&[
            (PersonalField::DisplayName, person.personal.as_ref()),
            (PersonalField::Metadata, person.personal.as_ref()),
        ]),
        view: person.view,
    });
    Ok(WaitingPage { waiting: page.items, next_cursor: page.next_cursor })
}

fn answer(page: impl Serialize, position: Position) -> Response {
    let mut response = Json(page).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    response
}
