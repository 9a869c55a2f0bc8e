//! Reads of the read models, no older than the caller asks for.

use crate::live::LiveError;
use axum::http::HeaderMap;
use tokio::sync::watch;

use super::api::Api;
use super::events_request;
use super::problem::{Problem, ProblemCode};
use super::request::query::QueryParameters;
use crate::ids::Position;
use crate::live::rooms::StateError;
use crate::projections::live::WaitError;
use crate::projections::read::{ReadError, ReadModels};

/// Where to read, and what is contained there for certain, to be told as `Convoke-Position`.
pub struct ReadSource {
    pub models: ReadModels,
    pub position: Position,
}

/// Finds a place that contains what `at_least` names, where the request names anything: a replica, or else the primary, once
/// `model` has come so far there, within a bounded time.
pub async fn reading(
    api: &Api,
    model: &'static str,
    query: &mut QueryParameters,
    headers: &HeaderMap,
) -> Result<ReadSource, Problem> {
    let wanted = wanted(api, query, headers).await?;
    reading_at(api, model, wanted).await
}

/// The same for a position that is known.
pub async fn reading_at(api: &Api, model: &'static str, wanted: Option<Position>) -> Result<ReadSource, Problem> {
    if let Some(chosen) = api.replicas.having(model, wanted.unwrap_or(0)) {
        let position = chosen.reached;
        return Ok(ReadSource { models: api.models.on(&api.replicas, chosen), position });
    }
    if let Some(wanted) = wanted {
        api.progress.wait_for(model, wanted, api.http.at_least_timeout, &api.stop).await?;
    }
    let position = api.progress.position_of(model).await?.max(wanted.unwrap_or(0));
    Ok(ReadSource { models: api.models.clone(), position })
}

/// The position that the request wants to be shown at least, if it names one: for reads that wait by themselves.
pub async fn wanted(api: &Api, query: &mut QueryParameters, headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(given) = events_request::at_least(query, headers)? else { return Ok(None) };
    Ok(Some(events_request::position(&given, api.epoch().await?, "at_least")?))
}

/// The same as [`reading`] for what is read from the log itself.
pub async fn log_reached(api: &Api, query: &mut QueryParameters, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(given) = events_request::at_least(query, headers)? else { return Ok(()) };
    let wanted = events_request::position(&given, api.epoch().await?, "at_least")?;
    reached(api, wanted).await
}

/// Waits, a bounded time, until this process knows that the log has come to a position.
pub async fn reached(api: &Api, wanted: Position) -> Result<(), Problem> {
    let mut head: watch::Receiver<Position> = api.log.head_watch();
    let known = *head.borrow();
    if known >= wanted || api.log.head().await?.position >= wanted {
        return Ok(());
    }
    let coming = head.wait_for(|position| *position >= wanted);
    let came = tokio::time::timeout(api.http.at_least_timeout, coming).await.is_ok();
    if came {
        return Ok(());
    }
    let at = api.log.head().await?.position;
    let detail = format!("The log is at position {at}, not yet at {wanted}.");
    Err(Problem::new(ProblemCode::PositionNotReached, detail).with("position", at))
}

impl From<StateError> for Problem {
    fn from(error: StateError) -> Self {
        match error {
            StateError::NotReached { at, wanted } => {
                let detail = format!("The log is at position {at} and has not reached {wanted}.");
                Problem::new(ProblemCode::PositionNotReached, detail).with("position", at)
            }
            StateError::Stopping => Problem::new(ProblemCode::Stopping, "The server is stopping."),
            StateError::Log(error) => Problem::from(&*error),
            StateError::Wait(error) => waited(&error),
            StateError::Read(error) => unread(&error),
            StateError::Crashed => Problem::internal(&error),
        }
    }
}

impl From<LiveError> for Problem {
    fn from(error: LiveError) -> Self {
        match error {
            LiveError::State(error) => error.into(),
            LiveError::Log(error) => error.into(),
            LiveError::Read(error) => unread(&error),
            LiveError::Keys(error) => error.into(),
            LiveError::Json { .. } => Problem::internal(error),
        }
    }
}

impl From<WaitError> for Problem {
    fn from(error: WaitError) -> Self {
        waited(&error)
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        unread(&error)
    }
}

fn waited(error: &WaitError) -> Problem {
    match error {
        WaitError::TimedOut { at, .. } => {
            Problem::new(ProblemCode::PositionNotReached, format!("{error}.")).with("position", *at)
        }
        WaitError::Stopped { at, .. } => Problem::new(
            ProblemCode::PositionNotReached,
            format!("The read model stopped at position {at}, and an operator has to repair it."),
        )
        .with("position", *at)
        .caused_by(error),
        WaitError::Stopping => Problem::new(ProblemCode::Stopping, "The server is stopping."),
        WaitError::Unavailable(_) => {
            Problem::new(ProblemCode::LogUnavailable, "The database does not answer.").caused_by(error)
        }
    }
}

fn unread(error: &ReadError) -> Problem {
    match error {
        ReadError::BadCursor => Problem::new(ProblemCode::CursorMalformed, format!("cursor: {error}."))
            .with_error("cursor", error.to_string()),
        ReadError::Unavailable(_) => {
            Problem::new(ProblemCode::LogUnavailable, "The database does not answer.").caused_by(error)
        }
        ReadError::Damaged(_) => Problem::internal(error),
    }
}
