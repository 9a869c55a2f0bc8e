//! One kept connection that reads pages and sends commands with one token, each after the other; and lists of commands.

use std::net::SocketAddr;

use serde_json::Value;
use uuid::Uuid;

use crate::fixture::Failure;
use crate::load::Connection;

pub struct Client {
    connection: Connection,
    /// What is alike in every request.
    headers: String,
}

impl Client {
    pub async fn open(address: SocketAddr, token: &str) -> Result<Self, Failure> {
        let headers = format!(
            " HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        );
        Ok(Self { connection: Connection::open(address).await?, headers })
    }

    /// The body of what is there.
    pub async fn get(&mut self, path: &str) -> Result<&[u8], Failure> {
        let request = format!("GET {path}{}\r\n", self.headers);
        self.ask(&request).await
    }

    /// Carries out a command; the version that the room has with it.
    pub async fn command(&mut self, room: Uuid, command: &str, data: &str) -> Result<u64, Failure> {
        let (headers, length) = (&self.headers, data.len());
        let request =
            format!("POST /v1/rooms/{room}/commands/{command}{headers}content-length: {length}\r\n\r\n{data}");
        let answer: Value = serde_json::from_slice(self.ask(&request).await?)?;
        answer["room_version"].as_u64().ok_or_else(|| "an answer names the room's version".into())
    }

    /// A number among the server's metrics, by its name and labels.
    pub async fn metric(&mut self, name: &str) -> Result<u64, Failure> {
        let text = String::from_utf8_lossy(self.get("/metrics").await?).into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.ok_or_else(|| format!("no metric {name}"))?.parse()?)
    }

    async fn ask(&mut self, request: &str) -> Result<&[u8], Failure> {
        match self.connection.exchange(request.as_bytes()).await? {
            200..300 => Ok(self.connection.body()),
            status => Err(format!("answered {status}: {}", String::from_utf8_lossy(self.connection.body())).into()),
        }
    }
}

/// One line of a list of commands.
pub fn line(room: Uuid, command: &str, data: &Value) -> String {
    format!("{{\"room\":\"{room}\",\"command\":\"{command}\",\"data\":{data}}}\n")
}

/// Has a list of commands carried out, each a line.
pub async fn carry_out(address: SocketAddr, token: &str, lines: String) -> Result<(), Failure> {
    let sent = lines.lines().count();
    let request = reqwest::Client::new().post(format!("http://{address}/v1/commands")).bearer_auth(token);
    let request = request.header("content-type", "application/x-ndjson").header("prefer", "return=minimal");
    let answers = request.body(lines).send().await?.error_for_status()?.text().await?;
    let mut done = 0;
    for answer in answers.lines() {
        let read: Value = serde_json::from_str(answer)?;
        if !read["status"].as_u64().is_some_and(|status| (200..300).contains(&status)) {
            return Err(format!("a command of a list was answered {answer}").into());
        }
        done += 1;
    }
    if done == sent { Ok(()) } else { Err(format!("{sent} commands, {done} answers").into()) }
}
