//! Writers of messages that carry the moment at which they are sent.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use uuid::Uuid;

use crate::fixture::Failure;
use crate::load::Connection;

/// Before the moment, in microseconds since the first.
pub const MARK: &str = "sent-at:";
pub const DIGITS: usize = 12;

const CONNECTIONS: usize = 16;

/// How fast messages are sent.
#[derive(Clone, Copy)]
pub enum Pace {
    /// One in each such time.
    Each(Duration),
    /// The next once the one before is answered, on each connection.
    Closed,
}

/// Microseconds since the first call.
pub fn now() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    u64::try_from(FIRST.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
}

pub struct Writers {
    address: SocketAddr,
    token: String,
}

impl Writers {
    pub fn new(address: SocketAddr, token: String) -> Self {
        Self { address, token }
    }

    fn request(&self, path: &str, body: &str) -> Vec<u8> {
        let (address, token, length) = (self.address, &self.token, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// A room with somebody in it who can speak.
    pub async fn room(&self) -> Result<Uuid, Failure> {
        let room = Uuid::now_v7();
        let mut connection = Connection::open(self.address).await?;
        self.expect(&mut connection, "/v1/rooms", &format!("{{\"id\":\"{room}\"}}")).await?;
        self.expect(&mut connection, &format!("/v1/rooms/{room}/commands/join"), "{\"identity\":\"speaker\"}").await?;
        Ok(room)
    }

    async fn expect(&self, connection: &mut Connection, path: &str, body: &str) -> Result<(), Failure> {
        match connection.exchange(&self.request(path, body)).await? {
            200..300 => Ok(()),
            status => Err(format!("answered {status}: {}", String::from_utf8_lossy(connection.body())).into()),
        }
    }

    /// Sends messages to a room for a time.
    pub async fn write(&self, room: Uuid, pace: Pace, time: Duration) -> Result<(), Failure> {
        let (begun, begun_at) = (Instant::now(), now());
        let path = format!("/v1/rooms/{room}/commands/send-message");
        let writer = async |number: usize| -> Result<(), Failure> {
            let mut connection = Connection::open(self.address).await?;
            for turn in 0_u32.. {
                let mut sent_at = now();
                if let Pace::Each(each) = pace {
                    let due = each * (turn * CONNECTIONS as u32 + number as u32);
                    tokio::time::sleep_until((begun + due).into()).await;
                    // Where the server falls behind, what waits to be sent counts too.
                    sent_at = begun_at + u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
                }
                if begun.elapsed() >= time {
                    break;
                }
                let body = format!("{{\"identity\":\"speaker\",\"text\":\"{MARK}{sent_at:0DIGITS$}\"}}");
                self.expect(&mut connection, &path, &body).await?;
            }
            Ok(())
        };
        try_join_all((0..CONNECTIONS).map(writer)).await.map(drop)
    }
}
