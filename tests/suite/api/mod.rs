//! The API from outside: the real program, a real database, a real client.

mod asyncapi;
mod bad_input;
mod batches;
mod byte_order_marks;
mod commands;
mod counted;
mod described;
mod events;
mod idempotency;
mod negotiation;
mod numbers;
mod pages;
mod readers;
mod reads;
mod statements;
pub mod streams;
mod timelines;
mod unread;

use convoke::security::grants::Grants;
use convoke::security::tokens::{Claims, NumericDate, mint};
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Run, Server, TestDb};

const KID: &str = "main";
const SECRET: &str = "a-secret-of-the-tests-that-is-long-enough-to-sign";

/// A server on a database of its own.
pub struct Service {
    pub server: Server,
    /// Serves again on the same database.
    pub run: Run,
    pub db: TestDb,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    /// `Null` where the body is not JSON.
    pub body: Value,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        Self { status, headers, body: serde_json::from_str(&text).unwrap_or_default(), text }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// It is this status, or the test ends here.
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    /// It is a problem with this code, told as RFC 9457 has it.
    pub fn problem(self, code: &str) -> Self {
        assert_eq!(self.body["code"], code, "{} {}", self.status, self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        assert_eq!(self.body["status"], self.status.as_u16());
        assert!(!self.body["detail"].as_str().unwrap_or_default().is_empty());
        self
    }

    /// The first field at fault.
    pub fn field(&self) -> &str {
        self.body["errors"][0]["field"].as_str().unwrap_or_else(|| panic!("no field: {}", self.text))
    }
}

pub fn claims(tenant: &str, sub: Option<&str>, grants: Grants) -> Claims {
    let in_an_hour = convoke::events::time::Clock::system().now().plus_seconds(3600);
    Claims {
        tenant: Some(tenant.parse().unwrap()),
        sub: sub.map(|sub| sub.parse().unwrap()),
        grants,
        exp: Some(NumericDate::at(in_an_hour)),
        ..Claims::default()
    }
}

pub fn signed(claims: &Claims) -> String {
    mint(KID, SECRET.as_bytes(), claims)
}

/// A token of a server of the tenant `acme`: everything is granted.
pub fn server_token() -> String {
    signed(&claims("acme", None, Grants::everything()))
}

/// A token of whoever runs the server: it sees how the log stands, and all of the tenant `acme`.
pub fn operator_token() -> String {
    signed(&claims("acme", None, Grants { operator: true, ..Grants::everything() }))
}

/// A token of a person of the tenant `acme`, who may join any room, as a host too.
pub fn person(identity: &str) -> String {
    let grants = Grants { room_join: true, role: convoke::events::room::Role::Host, ..Grants::default() };
    signed(&claims("acme", Some(identity), grants))
}

impl Service {
    pub async fn start() -> Self {
        Self::start_with(|run| run).await
    }

    pub async fn start_with(set: impl FnOnce(Run) -> Run) -> Self {
        let db = TestDb::new().await;
        let run = set(Run::on(&db).with("CONVOKE_SIGNING_KEYS", &format!("{KID}:{SECRET}")));
        Self { server: run.clone().serve().await, run, db }
    }

    pub fn get(&self, token: &str, path: &str) -> RequestBuilder {
        self.server.client.get(format!("{}{path}", self.server.url)).bearer_auth(token)
    }

    pub fn post(&self, token: &str, path: &str, body: &Value) -> RequestBuilder {
        self.server.client.post(format!("{}{path}", self.server.url)).bearer_auth(token).json(body)
    }

    /// A room of the tenant `acme`; its id.
    pub async fn room(&self, body: &Value) -> String {
        let created = Answer::of(self.post(&server_token(), "/v1/rooms", body)).await.is(201);
        created.body["room"].as_str().unwrap().to_owned()
    }

    pub async fn command(&self, token: &str, room: &str, command: &str, body: &Value) -> Answer {
        Answer::of(self.post(token, &format!("/v1/rooms/{room}/commands/{command}"), body)).await
    }

    /// Somebody joins, with a name.
    pub async fn join(&self, room: &str, identity: &str, role: &str) {
        let body = json!({ "display_name": format!("The {identity}"), "role": role });
        self.command(&person(identity), room, "join", &body).await.is(200);
    }
}
