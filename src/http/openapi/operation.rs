//! One operation of the description, put together by the route it belongs to.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::commands::refusal::RefusalCode;
use crate::http::problem::{Problem, ProblemCode, ProblemInfo, pages};
use crate::http::request::paging::{MOST, USUAL};

/// The groups in which operations are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationTag {
    Rooms,
    Commands,
    People,
    Events,
    Tenant,
    Operation,
}

impl OperationTag {
    pub const ALL: [OperationTag; 6] = [
        OperationTag::Rooms,
        OperationTag::People,
        OperationTag::Events,
        OperationTag::Commands,
        OperationTag::Tenant,
        OperationTag::Operation,
    ];

    pub fn name(self) -> &'static str {
        match self {
            OperationTag::Rooms => "Rooms",
            OperationTag::Commands => "Commands",
            OperationTag::People => "People and messages",
            OperationTag::Events => "Events and streams",
            OperationTag::Tenant => "Tenant",
            OperationTag::Operation => "Operation",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            OperationTag::Rooms => "Creating, listing and reading rooms, at present or at an earlier version.",
            OperationTag::Commands => {
                "Commands to a room. A command without an effect is accepted, changes nothing and writes nothing."
            }
            OperationTag::People => "Participants, sessions and messages of a room.",
            OperationTag::Events => "Events: in pages, as lines, or live from any cursor.",
            OperationTag::Tenant => "Commands to a tenant as a whole.",
            OperationTag::Operation => "The state of the log and of the read models.",
        }
    }
}

/// An operation. What every operation may answer (401, 500, 503) is added by itself.
pub struct Operation {
    method: &'static str,
    fields: Map<String, Value>,
    parameters: Vec<Value>,
    answers: BTreeMap<u16, Value>,
    problems: BTreeMap<u16, Vec<ProblemInfo>>,
    open: bool,
}

impl Operation {
    pub fn get(id: &str, summary: &str) -> Self {
        Self::new("get", id, summary).problem(ProblemCode::InvalidParameters)
    }

    pub fn post(id: &str, summary: &str) -> Self {
        Self::new("post", id, summary).problem(ProblemCode::InvalidParameters)
    }

    fn new(method: &'static str, id: &str, summary: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("operationId".into(), id.into());
        fields.insert("summary".into(), summary.into());
        Self {
            method,
            fields,
            parameters: Vec::new(),
            answers: BTreeMap::new(),
            problems: BTreeMap::new(),
            open: false,
        }
    }

    pub fn tag(mut self, tag: OperationTag) -> Self {
        self.fields.insert("tags".into(), json!([tag.name()]));
        self
    }

    /// A paragraph or two.
    pub fn about(mut self, text: &str) -> Self {
        self.fields.insert("description".into(), text.into());
        self
    }

    /// Needs no token.
    pub fn open(mut self) -> Self {
        self.open = true;
        self.fields.insert("security".into(), json!([]));
        self
    }

    pub fn query(mut self, name: &str, schema: Value, about: &str) -> Self {
        self.parameters.push(json!({ "name": name, "in": "query", "schema": schema, "description": about }));
        self
    }

    /// One of `shared_parameters`.
    pub fn shared(mut self, name: &str) -> Self {
        self.parameters.push(json!({ "$ref": format!("#/components/parameters/{name}") }));
        self
    }

    /// A list in pages, of a read model.
    pub fn paged(self) -> Self {
        let limit = json!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL });
        self.query("limit", limit, "Entries of a page, at most")
            .query("cursor", json!({ "type": "string" }), "`next_cursor` of the page before")
            .shared("at-least")
    }

    /// The body, by media type.
    pub fn body(mut self, about: &str, content: Value) -> Self {
        self.fields.insert("requestBody".into(), json!({ "required": true, "description": about, "content": content }));
        self
    }

    /// What is answered; `content` by media type, `headers` of `shared_headers`.
    pub fn answer(mut self, status: u16, about: &str, headers: &[&str], content: Option<Value>) -> Self {
        let mut answer = Map::new();
        answer.insert("description".into(), about.into());
        if !headers.is_empty() {
            let of_name = |name: &&str| (name.to_string(), json!({ "$ref": format!("#/components/headers/{name}") }));
            answer.insert("headers".into(), headers.iter().map(of_name).collect());
        }
        if let Some(content) = content {
            answer.insert("content".into(), content);
        }
        self.answers.insert(status, Value::Object(answer));
        self
    }

    /// As [`Operation::answer`] with a body of JSON.
    pub fn json(self, status: u16, about: &str, headers: &[&str], schema: &Value) -> Self {
        self.answer(status, about, headers, Some(json!({ "application/json": { "schema": schema } })))
    }

    pub fn problem(mut self, code: ProblemCode) -> Self {
        self.add_problem(code.about());
        self
    }

    pub fn problems(self, codes: &[ProblemCode]) -> Self {
        codes.iter().fold(self, |operation, code| operation.problem(*code))
    }

    /// What the rule of a command may refuse.
    pub fn refusals(mut self, codes: &[RefusalCode]) -> Self {
        for code in codes {
            self.add_problem(ProblemInfo::from(*code));
        }
        self
    }

    fn add_problem(&mut self, about: ProblemInfo) {
        let infos = self.problems.entry(about.status).or_default();
        if !infos.contains(&about) {
            infos.push(about);
        }
    }

    /// The method and the operation as JSON. The parameters in the path are read off it.
    pub(super) fn finish(mut self, path: &str) -> (&'static str, Value) {
        let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let mut parameters: Vec<Value> =
            in_path.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })).collect();
        parameters.append(&mut self.parameters);
        if !parameters.is_empty() {
            self.fields.insert("parameters".into(), parameters.into());
        }
        let mut responses: BTreeMap<String, Value> =
            self.answers.into_iter().map(|(status, answer)| (status.to_string(), answer)).collect();
        for (status, infos) in self.problems {
            responses.insert(status.to_string(), problem_response(&infos));
        }
        for (status, _, codes) in SHARED {
            if !(self.open && *status == 401) && codes.iter().all(|code| code.status() == *status) {
                let shared = json!({ "$ref": format!("#/components/responses/{status}") });
                responses.entry(status.to_string()).or_insert(shared);
            }
        }
        self.fields.insert("responses".into(), json!(responses));
        (self.method, Value::Object(self.fields))
    }
}

/// What every operation may answer besides its own.
const SHARED: &[(u16, &str, &[ProblemCode])] = &[
    (
        401,
        "No token, or an invalid one",
        &[ProblemCode::Unauthenticated, ProblemCode::TokenInvalid, ProblemCode::TokenExpired],
    ),
    (500, "An error of the server", &[ProblemCode::Internal]),
    (
        503,
        "Temporarily unavailable; `Retry-After` says when to retry",
        &[
            ProblemCode::LogUnavailable,
            ProblemCode::TooBusy,
            ProblemCode::TooManyConnections,
            ProblemCode::Stopping,
            ProblemCode::PositionNotReached,
            ProblemCode::ConflictRetriesExhausted,
            ProblemCode::TooManyStreams,
        ],
    ),
];

fn problem_response(infos: &[ProblemInfo]) -> Value {
    let names: Vec<_> = infos.iter().map(|about| format!("`{}`", about.code)).collect();
    problem_answer(&names.join(", "), infos)
}

fn problem_answer(about: &str, infos: &[ProblemInfo]) -> Value {
    let of_code = |about: &ProblemInfo| {
        (about.code.to_owned(), json!({ "$ref": format!("#/components/examples/{}", about.code) }))
    };
    json!({
        "description": about,
        "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" },
            "examples": infos.iter().map(of_code).collect::<Map<_, _>>(),
        } },
    })
}

pub(super) fn shared_responses() -> Map<String, Value> {
    let answer = |(status, about, codes): &(u16, &str, &[ProblemCode])| {
        let infos: Vec<_> = codes.iter().map(|code| code.about()).collect();
        (status.to_string(), problem_answer(about, &infos))
    };
    SHARED.iter().map(answer).collect()
}

/// Every problem, as it may be answered.
pub(super) fn shared_examples() -> Map<String, Value> {
    let example = |about: ProblemInfo| {
        let value = Problem::about(about, about.meaning).to_json(None);
        (about.code.to_owned(), json!({ "summary": about.title, "value": value }))
    };
    pages::catalogue().into_iter().map(example).collect()
}

/// The shape of a problem, as RFC 9457 has it and with the members that this API adds.
pub(super) fn problem_schema() -> Value {
    let text = |about: &str| json!({ "type": "string", "description": about });
    json!({
        "type": "object",
        "description": "The reason why a request failed (RFC 9457)",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "description": "`/problems/CODE`: a page about it" },
            "title": text("A few words, the same for each case of the code"),
            "status": { "type": "integer", "minimum": 400, "maximum": 599, "description": "The HTTP status" },
            "detail": text("A sentence about this case"),
            "instance": { "type": "string", "format": "uri-reference", "description": "The id of this occurrence, for reports" },
            "code": text("The last part of `type`; never changes its meaning"),
            "errors": {
                "type": "array",
                "description": "The invalid parts of the request",
                "items": {
                    "type": "object",
                    "required": ["field", "detail"],
                    "properties": {
                        "field": text("Path in the body (`settings.labels.team`, `to[2]`), or name of the parameter or header"),
                        "detail": text("What is wrong with it"),
                    },
                },
            },
            "room": { "type": "string", "format": "uuid", "description": "The room that conflicts" },
            "room_version": { "type": "integer", "description": "The current version of the room" },
        },
    })
}

pub(super) fn shared_headers() -> Value {
    json!({
        "ETag": { "description": "The room's version in quotes, `\"12\"`", "schema": { "type": "string" } },
        "Location": { "description": "Where the room is", "schema": { "type": "string", "format": "uri-reference" } },
        "Convoke-Position": {
            "description": "Position of the log that the answer shows, or that the command's events reached",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "Preference-Applied": {
            "description": "`return=minimal`: the answer is the short one that `Prefer` asked for",
            "schema": { "type": "string" },
        },
        "Idempotency-Replayed": {
            "description": "`true`: the command was executed before under the same key; this is its response",
            "schema": { "type": "boolean" },
        },
    })
}

pub(super) fn shared_parameters() -> Value {
    let header = |name: &str, about: &str, schema: Value| json!({ "name": name, "in": "header", "description": about, "schema": schema });
    let uuid = json!({ "type": "string", "format": "uuid" });
    json!({
        "room": {
            "name": "room", "in": "path", "required": true, "description": "Id of the room, UUIDv7", "schema": uuid,
        },
        "idempotency-key": header(
            "Idempotency-Key",
            "The caller's name for this request, 1 to 255 characters, best in double quotes: sent again with the same body, it is \
             answered as it was the first time and not done twice",
            json!({ "type": "string" }),
        ),
        "if-match": header(
            "If-Match",
            "The expected `ETag` of the room: the command fails with 412 if the room has another version",
            json!({ "type": "string" }),
        ),
        "causation-id": header("Convoke-Causation-Id", "The id of the cause of this request; stored with the events", uuid.clone()),
        "correlation-id": header("Convoke-Correlation-Id", "The id of the process that this request is part of; stored with the events", uuid),
        "at-least": {
            "name": "at_least", "in": "query", "schema": { "type": "string" },
            "description": "Wait, a bounded time, until the answer shows this position, as `Convoke-Position` gave it. The header \
                `Convoke-At-Least` says the same",
        },
        "version": {
            "name": "version", "in": "query", "schema": { "type": "integer", "minimum": 1 },
            "description": "The state at this version of the room",
        },
        "at": {
            "name": "at", "in": "query", "schema": { "type": "string", "format": "date-time" },
            "description": "The state at this time, by recorded time",
        },
        "if-none-match": header(
            "If-None-Match",
            "`ETag`s that the caller has: answered 304 if the room still has one of these versions",
            json!({ "type": "string" }),
        ),
        "prefer": header(
            "Prefer",
            "`return=minimal` (RFC 7240): the answer says `room`, `room_version` and `position` only, about a hundred bytes",
            json!({ "type": "string" }),
        ),
        "traceparent": header(
            "traceparent",
            "W3C trace context; stored with the events. An invalid one is ignored",
            json!({ "type": "string" }),
        ),
    })
}
