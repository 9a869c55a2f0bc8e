//! `POST /v1/commands`: many commands, over many rooms. Each is judged by itself and answered in the order sent; with
//! `"atomic": true` all are carried out or none. Long lists go in and out as lines (NDJSON), in bounded memory.
//!
//! [`item`] is one command of a list, [`ordered_batch`] keeps those of one room in order while others run beside them,
//! [`lines`] is the form of lines.

mod item;
mod lines;
mod ordered_batch;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, OriginalUri, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use self::item::{BatchContext, BatchItem, CommandItem};
use self::ordered_batch::OrderedBatch;
use super::api::Api;
use super::body::WholeBody;
use super::command_request;
use super::openapi::{CommandAnswer, OpenApiDocument, Operation, OperationTag, command_headers};
use super::problem::{Problem, ProblemCode};
use super::request::accept;
use super::request::caller::{Authenticated, SessionToken};
use super::request::headers::{self, BodyType, CommandHeaders};
use super::request::prefer;
use super::request::query::QueryParameters;
use crate::commands::execute::CommandOutcome;
use crate::json::{self, CheckedJson};

const PATH: &str = "/v1/commands";

/// Commands in a list of JSON. More go as lines.
pub const MAX_COMMANDS: usize = 1_000;

/// Commands of one request that are on their way at the same time.
pub const AT_ONCE: usize = 256;

/// Many commands.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CommandList")]
struct CommandList {
    /// All are carried out, or none.
    #[serde(default)]
    atomic: bool,
    /// 1 to 1,000.
    #[schemars(with = "Vec<CommandItem>", length(min = 1, max = 1_000))]
    commands: Vec<Box<RawValue>>,
}

/// What became of each command, in the order sent.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CommandResults")]
struct CommandResults {
    #[schemars(with = "Vec<CommandResult>")]
    results: Vec<Box<RawValue>>,
}

/// What became of one command.
#[derive(Serialize, JsonSchema)]
pub struct CommandResult {
    /// The HTTP status that it would have had by itself.
    status: u16,
    /// What it would have been answered by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<CommandAnswer>")]
    result: Option<Box<RawValue>>,
    /// It was done before, under the same idempotency key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    replayed: bool,
    /// Why it was not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    problem: Option<serde_json::Value>,
}

impl CommandResult {
    /// As JSON, ready to be sent.
    fn text(outcome: Result<CommandOutcome, Problem>, minimal: bool) -> String {
        let result = match outcome {
            Ok(outcome) => Self {
                status: outcome.status,
                replayed: outcome.replayed,
                result: RawValue::from_string(command_request::body(outcome, minimal)).ok(),
                problem: None,
            },
            Err(problem) => Self {
                status: problem.status().as_u16(),
                result: None,
                replayed: false,
                problem: Some(problem.to_json(None)),
            },
        };
        serde_json::to_string(&result).expect("numbers, flags and JSON can be written")
    }
}

pub fn routes() -> Router<Api> {
    Router::new().route(PATH, post(run))
}

pub fn describe(document: &mut OpenApiDocument) {
    let list = document.request::<CommandList>();
    let item = document.request::<CommandItem>();
    let results = document.answer::<CommandResults>();
    let result = document.answer::<CommandResult>();
    let example = json!({ "commands": [
        { "command": "create-room", "data": { "name": "standup" } },
        { "room": "01936d2e-7c1a-7b3e-8a44-0f0a4f5d2c11", "command": "lock-room" },
    ] });
    let operation = command_headers(Operation::post("commands", "Many commands"))
        .tag(OperationTag::Commands)
        .about(
            "Each command is judged by itself, those of one room in the order sent, and what became of each is answered in that \
             order. With `\"atomic\": true` all are carried out or none; the answer is then that of the first one that was \
             refused, with its place in `command_index`.\n\nAs lines (`application/x-ndjson`) a list may be of any length. Answers \
             come while commands are still sent. They may be read meanwhile or afterwards: what is not read waits, in bounded room. \
             `Prefer: return=minimal` makes each about a hundred bytes. Where the list breaks off (the body ends or stalls half-way, \
             the token expires, the answers find no room, the server stops), the last answer says so: what was sent behind it was not \
             carried out. An `Idempotency-Key` of the request stands for one of each command, by its place in the list; a command's own \
             `idempotency_key` goes before it.",
        )
        .body(
            "",
            json!({
                "application/json": { "schema": list, "examples": { "example-1": { "summary": "Two commands", "value": example } } },
                "application/x-ndjson": { "schema": item },
            }),
        )
        .answer(
            200,
            "What became of each",
            &[],
            Some(json!({ "application/json": { "schema": results }, "application/x-ndjson": { "schema": result } })),
        )
        .problems(&[
            ProblemCode::InvalidJson,
            ProblemCode::IdempotencyKeyMalformed,
            ProblemCode::PayloadTooLarge,
            ProblemCode::UnsupportedMediaType,
            ProblemCode::InvalidFields,
        ]);
    document.add(PATH, operation);
}

async fn run(
    State(api): State<Api>,
    Authenticated(caller): Authenticated,
    token: SessionToken,
    OriginalUri(uri): OriginalUri,
    given: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    QueryParameters::read(&uri)?.finish()?;
    let kind = headers::body_type(&given)?;
    let headers = CommandHeaders::read(&given)?;
    if headers.if_match.is_some() {
        return Err(Problem::parameter("if-match", "is of one room: give each command its `expected_version`"));
    }
    let context = BatchContext { caller, headers, minimal: prefer::is_minimal(&given) };
    // Lines of JSON are taken by many a client as JSON.
    let forms: &[accept::MediaForm] =
        if kind == BodyType::Json { &[accept::JSON] } else { &[accept::LINES, accept::JSON] };
    accept::choose(&given, forms)?;
    let minimal = context.minimal;
    let mut response = match kind {
        BodyType::NdJson => lines::answer(&api, context, token, request.into_body()),
        BodyType::Json => {
            let WholeBody(body) = WholeBody::from_request(request, &api).await?;
            list(&api, &context, &body).await?
        }
    };
    if minimal {
        prefer::applied(response.headers_mut());
    }
    Ok(response)
}

async fn list(api: &Api, context: &BatchContext, body: &[u8]) -> Result<Response, Problem> {
    let list: CommandList = item::read(json::check(body)?, "")?;
    if !(1..=MAX_COMMANDS).contains(&list.commands.len()) {
        let detail = format!("has {} commands; 1 to {MAX_COMMANDS} are allowed", list.commands.len());
        return Err(
            Problem::new(ProblemCode::InvalidFields, format!("commands: {detail}")).with_error("commands", detail)
        );
    }
    if list.atomic {
        return atomic(api, context, &list.commands).await;
    }
    let mut batch = OrderedBatch::new(api.clone(), context.minimal);
    let mut results = Vec::with_capacity(list.commands.len());
    for (index, text) in list.commands.iter().enumerate() {
        if batch.len() >= AT_ONCE {
            results.extend(batch.next().await);
        }
        batch.push(BatchItem::read(api, context, index, CheckedJson::part(text), &place(index))).await;
    }
    while let Some(result) = batch.next().await {
        results.push(result);
    }
    Ok(answer(results))
}

/// Where in the body a command lies.
fn place(index: usize) -> String {
    format!("commands[{index}]")
}

async fn atomic(api: &Api, context: &BatchContext, commands: &[Box<RawValue>]) -> Result<Response, Problem> {
    let mut requests = Vec::with_capacity(commands.len());
    for (index, text) in commands.iter().enumerate() {
        let item = BatchItem::read(api, context, index, CheckedJson::part(text), &place(index));
        requests.push(item.map_err(|problem| problem.with("command_index", index))?.request);
    }
    match api.executor.execute_atomic(requests).await {
        Ok(outcomes) => {
            Ok(answer(outcomes.into_iter().map(|outcome| CommandResult::text(Ok(outcome), context.minimal))))
        }
        Err(failed) => Err(Problem::from(failed.error).with("command_index", failed.index)),
    }
}

fn answer(results: impl IntoIterator<Item = String>) -> Response {
    let joined = results.into_iter().collect::<Vec<_>>().join(",");
    let mut response = Body::from(format!("{{\"results\":[{joined}]}}")).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
