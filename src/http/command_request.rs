//! A command on its way from a request to the executor, and its answer on the way back: what single commands, batches and the
//! creation of rooms have in common.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::api::Api;
use super::problem::{Problem, ProblemCode};
use super::request::etags::{self, EntityTags};
use super::request::headers::{self, CommandHeaders, IDEMPOTENCY_REPLAYED, POSITION};
use super::request::prefer;
use super::request::query::QueryParameters;
use crate::commands::context::Caller;
use crate::commands::execute::{CommandOutcome, CommandRequest, ExecuteError, Executor, Idempotency};
use crate::commands::fault::CommandFault;
use crate::commands::fingerprint;
use crate::commands::room::RoomCommand;
use crate::ids::{RoomId, RoomVersion};

/// How often a command is tried that may go upon one of several versions: each try is for the version that the room was
/// found at.
const VERSION_TRIES: usize = 3;

/// A request to the executor out of the headers and the rest. The room is the one that the request names, if it names one.
pub fn request(
    api: &Api,
    caller: Arc<Caller>,
    (room, command): (Option<RoomId>, RoomCommand),
    headers: CommandHeaders,
) -> CommandRequest {
    let command_id = api.command_id();
    let idempotency = headers
        .idempotency_key
        .map(|key| Idempotency { key: key.scoped(&caller.actor), fingerprint: fingerprint::of(room, &command) });
    CommandRequest {
        idempotency,
        caller,
        // A room that nobody named takes the id of the command that creates it.
        room: room.unwrap_or_else(|| RoomId::from_uuid(command_id.uuid())),
        command,
        command_id,
        expected_version: None,
        causation_id: headers.causation_id,
        correlation_id: headers.correlation_id,
        traceparent: headers.traceparent,
        occurred_at: None,
    }
}

/// A request that is one command: read, carried out, answered. `parse` makes of the body the command and the room that the
/// request names, if it names one.
pub async fn run(
    api: &Api,
    caller: Arc<Caller>,
    uri: &Uri,
    given: &HeaderMap,
    body: &[u8],
    parse: impl FnOnce(&[u8]) -> Result<(Option<RoomId>, RoomCommand), CommandFault>,
) -> Result<Response, Problem> {
    QueryParameters::read(uri)?.finish()?;
    headers::json_only(given)?;
    let mut headers = CommandHeaders::read(given)?;
    let if_match = headers.if_match.take();
    let request = request(api, caller, parse(body)?, headers);
    let outcome = execute(api, request, if_match.as_ref()).await?;
    let minimal = prefer::is_minimal(given);
    let mut response = answer(outcome, minimal);
    if minimal {
        prefer::applied(response.headers_mut());
    }
    Ok(response)
}

/// Executes a command if the room is at one of the versions that `if_match` names; at whatever version where there is none.
pub async fn execute(
    api: &Api,
    mut request: CommandRequest,
    if_match: Option<&EntityTags>,
) -> Result<CommandOutcome, ExecuteError> {
    let Some(tags @ EntityTags::Listed(_)) = if_match else { return carry_out(&api.executor, request).await };
    // No room has the greatest version: a list that can match nothing is told the version there is.
    let newest = tags.strong_versions().first().copied();
    request.expected_version = Some(newest.unwrap_or(RoomVersion::MAX));
    for _ in 1..VERSION_TRIES {
        match carry_out(&api.executor, request.clone()).await {
            Err(ExecuteError::VersionMismatch { actual })
                if tags.matches_strongly(actual) && request.expected_version != Some(actual) =>
            {
                request.expected_version = Some(actual);
            }
            outcome => return outcome,
        }
    }
    carry_out(&api.executor, request).await
}

/// Executes a command, and writes down what became of it.
async fn carry_out(executor: &Executor, request: CommandRequest) -> Result<CommandOutcome, ExecuteError> {
    enqueue(executor, request).await.await
}

/// Puts a command into the queue; the future of its answer writes down what became of it.
pub async fn enqueue(
    executor: &Executor,
    request: CommandRequest,
) -> impl Future<Output = Result<CommandOutcome, ExecuteError>> + Send + use<> {
    let (room, command) = (request.room, request.command.name());
    let receipt = executor.enqueue(request).await;
    async move {
        let outcome = receipt.await;
        match &outcome {
            Ok(CommandOutcome { position, room_version, replayed, .. }) => {
                tracing::debug!(%room, command, position, room_version, replayed, "command succeeded");
            }
            Err(error) => tracing::debug!(%room, command, %error, "command failed"),
        }
        outcome
    }
}

/// What an accepted command is answered: all of it, or only where it left the room.
pub fn body(outcome: CommandOutcome, minimal: bool) -> String {
    let CommandOutcome { room, room_version, position, body, .. } = outcome;
    if minimal {
        format!("{{\"room\":\"{room}\",\"room_version\":{room_version},\"position\":{position}}}")
    } else {
        body
    }
}

/// The answer to an accepted command.
fn answer(outcome: CommandOutcome, minimal: bool) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(POSITION, HeaderValue::from(outcome.position));
    if let Ok(etag) = HeaderValue::try_from(etags::etag(outcome.room_version)) {
        headers.insert(header::ETAG, etag);
    }
    if outcome.status == 201
        && let Ok(location) = HeaderValue::try_from(format!("/v1/rooms/{}", outcome.room))
    {
        headers.insert(header::LOCATION, location);
    }
    if outcome.replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    let status = StatusCode::from_u16(outcome.status).unwrap_or(StatusCode::OK);
    (status, headers, body(outcome, minimal)).into_response()
}

impl From<ExecuteError> for Problem {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::Refused(refusal) => Problem::from(*refusal),
            ExecuteError::VersionMismatch { actual } => {
                Problem::new(ProblemCode::VersionMismatch, format!("The room is at version {actual}."))
                    .with("room_version", actual)
            }
            ExecuteError::KeyReused => Problem::new(
                ProblemCode::IdempotencyKeyReused,
                "The idempotency key was used before, with another command or another body.",
            ),
            ExecuteError::Conflict => Problem::new(
                ProblemCode::ConflictRetriesExhausted,
                "Other servers changed the room at every attempt. Nothing was done.",
            ),
            ExecuteError::Busy => {
                Problem::new(ProblemCode::TooBusy, "The queue of commands is full. This command was not accepted.")
            }
            ExecuteError::Unavailable(error) => Problem::from(&*error),
            ExecuteError::Sealing(error) => Problem::from(&*error),
            ExecuteError::Stopping => {
                Problem::new(ProblemCode::Stopping, "The server is stopping, and accepts no more commands.")
            }
        }
    }
}
