//! `GET /v1/rooms/{room}/messages`: what was said in a room, as far as it is for the reader.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::api::Api;
use super::consistent_reads::{self, ReadSource};
use super::json_answer::{json_answer, list_of};
use super::openapi::{self, OpenApiDocument, Operation, OperationTag};
use super::personal::{FieldOpener, PersonalField};
use super::problem::{Problem, ProblemCode};
use super::request::caller::Authenticated;
use super::request::headers::POSITION;
use super::request::paging::Paging;
use super::request::path::RoomInPath;
use super::request::query::QueryParameters;
use super::rights::{self, ReadAccess};
use crate::events::room::Audience;
use crate::events::time::Timestamp;
use crate::ids::{Identity, Position, RoomKey, RoomVersion};
use crate::live::event_view::PersonalView;
use crate::live::rooms::{self, SharedMessage};
use crate::live::viewer::Viewer;
use crate::projections::messages::{Message, MessageReader, MessagesModel, cursor};
use crate::projections::model::ReadModel as _;
use crate::projections::read::ReadModels;

const PATH: &str = "/v1/rooms/{room}/messages";

/// A message.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Message")]
struct MessageAnswer {
    /// The room version of the event that sent it: its name in the room.
    message: RoomVersion,
    author: Identity,
    to: Audience,
    /// The message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<RoomVersion>,
    sent_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<Timestamp>,
    /// It has no text any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted_at: Option<Timestamp>,
    /// Deleted by staff rather than by its author.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    deleted_by_staff: bool,
    /// `text`, as it was edited last.
    #[serde(flatten)]
    personal: PersonalView,
}

/// A page of messages.
#[derive(Serialize, JsonSchema)]
struct MessagePage {
    messages: Vec<MessageAnswer>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, get(messages))
}

pub fn describe(document: &mut OpenApiDocument) {
    let page = document.answer::<MessagePage>();
    let identity = document.answer::<Identity>();
    let operation = Operation::get("messages", "Messages in a room")
        .tag(OperationTag::People)
        .about(
            "What was said, with the text as it was edited last. A person gets what was said to everyone, to staff while they are \
             staff, and what they wrote or were named in; `room_admin` gets everything.",
        )
        .query("as", identity, "Only messages that this person may read; for holders of `room_admin`, and for oneself")
        .query("order", json!({ "enum": ["oldest", "newest"], "default": "oldest" }), "The order of the messages")
        .paged()
        .json(200, "Messages", &["Convoke-Position"], &page)
        .problems(&[ProblemCode::Forbidden, ProblemCode::CursorMalformed, ProblemCode::CursorOfAnotherEpoch])
        .refusals(openapi::ROOM_NOT_FOUND);
    document.add(PATH, operation);
}

async fn messages(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    RoomInPath(room): RoomInPath,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = QueryParameters::read(&uri)?;
    let paging = Paging::read(&mut query)?;
    let newest_first = match query.take("order")?.as_deref() {
        None | Some("oldest") => false,
        Some("newest") => true,
        Some(_) => return Err(Problem::parameter("order", "is oldest or newest")),
    };
    let wanted: Option<Identity> = query.parsed("as")?;
    let key = RoomKey { tenant: caller.tenant.clone(), room };
    let access = rights::inside_room(&api, &caller, &key).await?;
    let access = match wanted {
        Some(identity) => rights::seen_by(&api, access, &key, identity).await?,
        None => access,
    };
    let wanted_position = consistent_reads::wanted(&api, &mut query, &headers).await?;
    query.finish()?;
    page(&api, &key, &access, wanted_position, newest_first, &paging).await
}

/// A page out of the read model.
async fn read(
    api: &Api,
    models: &ReadModels,
    key: &RoomKey,
    access: &ReadAccess,
    newest_first: bool,
    paging: &Paging,
) -> Result<MessagePage, Problem> {
    let reader = reader(&access.viewer);
    let page = models.messages(&key.tenant, key.room, reader, newest_first, paging.request()).await?;
    let opener = opener(api, key, access, page.items.iter()).await?;
    let page = page.map(|message| shown(message, &opener));
    Ok(MessagePage { messages: page.items, next_cursor: page.next_cursor })
}

/// A page out of memory, as far as that reaches back, else out of the read model.
async fn page(
    api: &Api,
    key: &RoomKey,
    access: &ReadAccess,
    wanted: Option<Position>,
    newest_first: bool,
    paging: &Paging,
) -> Result<Response, Problem> {
    let current = api.rooms.current(key, wanted).await?;
    let reader = reader(&access.viewer);
    match api.rooms.messages(key, &current, reader, newest_first, paging.request()).await? {
        rooms::MessagesInMemory::Here { messages, more, at } => {
            let next_cursor = messages.last().filter(|_| more);
            let next_cursor = next_cursor.map(|last| cursor(newest_first, last.message.version));
            let rendered = render(api, key, access, &messages).await?;
            // A cursor has no character that JSON would escape.
            let rest = next_cursor.map_or_else(String::new, |cursor| format!(",\"next_cursor\":\"{cursor}\""));
            Ok(json_answer(list_of("messages", &rendered, &rest), at))
        }
        rooms::MessagesInMemory::Older { at } => {
            let ReadSource { models, position } =
                consistent_reads::reading_at(api, MessagesModel::NAME, Some(at)).await?;
            let page = read(api, &models, key, access, newest_first, paging).await?;
            Ok(answer(page, position))
        }
    }
}

/// Each message as JSON; one with its text open is rendered once for all who may read it.
async fn render(
    api: &Api,
    key: &RoomKey,
    access: &ReadAccess,
    messages: &[Arc<SharedMessage>],
) -> Result<Vec<Bytes>, Problem> {
    let moment = api.sealer.moment();
    let made = |shared: &Arc<SharedMessage>| shared.rendered(moment).filter(|_| access.personal);
    let mut rendered: Vec<Option<Bytes>> = messages.iter().map(made).collect();
    if rendered.iter().any(Option::is_none) {
        let missing = messages.iter().zip(&rendered).filter(|(_, made)| made.is_none());
        let opener = opener(api, key, access, missing.map(|(shared, _)| &shared.message)).await?;
        for (shared, made) in messages.iter().zip(&mut rendered).filter(|(_, made)| made.is_none()) {
            let json = serde_json::to_vec(&shown(shared.message.clone(), &opener)).map_err(Problem::internal)?;
            let json = Bytes::from(json);
            if access.personal {
                shared.keep(moment, json.clone());
            }
            *made = Some(json);
        }
    }
    Ok(rendered.into_iter().flatten().collect())
}

fn answer(page: MessagePage, position: Position) -> Response {
    let mut response = Json(page).into_response();
    response.headers_mut().insert(POSITION, HeaderValue::from(position));
    response
}

fn reader(reader: &Viewer) -> MessageReader<'_> {
    if reader.admin {
        MessageReader::All
    } else {
        MessageReader::Person { identity: reader.identity.as_ref(), staff: reader.staff }
    }
}

async fn opener<'m>(
    api: &Api,
    key: &RoomKey,
    access: &ReadAccess,
    messages: impl Iterator<Item = &'m Message>,
) -> Result<FieldOpener, Problem> {
    let sealed: Vec<_> = messages.filter_map(|message| message.text.as_ref()).collect();
    FieldOpener::load(&api.sealer, key, access.personal, &sealed).await
}

fn shown(message: Message, opener: &FieldOpener) -> MessageAnswer {
    MessageAnswer {
        personal: opener.open(&[(PersonalField::Text, message.text.as_ref())]),
        message: message.version,
        author: message.author,
        to: message.to,
        reply_to: message.reply_to,
        sent_at: message.sent_at,
        edited_at: message.edited_at,
        deleted_at: message.deleted_at,
        deleted_by_staff: message.deleted_by_staff,
    }
}
