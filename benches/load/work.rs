//! What one connection sends: its rooms, its person in them, and one command after another.

use std::io::Write;
use std::sync::Arc;

use uuid::Uuid;

use super::client::Connection;
use super::{Failure, Load, Work};

pub(super) struct Worker {
    /// What is alike in every request.
    headers: String,
    identity: String,
    pub rooms: Vec<Uuid>,
    /// To be read instead of sending commands.
    paths: Arc<Vec<String>>,
    work: Work,
    /// How many requests of the load were made.
    made: usize,
    /// Makes the idempotency keys differ from those of other connections and runs.
    run: Uuid,
    /// Makes them differ from one another.
    sent: u64,
    request: Vec<u8>,
}

impl Worker {
    pub fn new(load: &Load, number: usize) -> Self {
        let (rooms, paths, first) = match &load.work {
            Work::RoomsEach(rooms) => {
                (std::iter::repeat_with(Uuid::now_v7).take((*rooms).max(1)).collect(), Arc::default(), 0)
            }
            Work::HotRoom(room) => (vec![*room], Arc::default(), 0),
            Work::Get(paths) => (Vec::new(), Arc::clone(paths), number * 7919),
        };
        Self {
            headers: format!(
                " HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
                load.address, load.token
            ),
            identity: format!("person-{number}"),
            rooms,
            paths,
            work: load.work.clone(),
            made: first,
            run: Uuid::new_v4(),
            sent: 0,
            request: Vec::with_capacity(2048),
        }
    }

    /// Makes what has to be there before the load.
    pub async fn enter(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        if let Work::RoomsEach(_) = self.work {
            self.make_rooms(connection).await?;
        }
        self.join_rooms(connection).await
    }

    pub async fn make_rooms(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        for room in self.rooms.clone() {
            self.write("/v1/rooms", &format!("{{\"id\":\"{room}\"}}"));
            expect_success(connection, &self.request).await?;
        }
        Ok(())
    }

    pub async fn join_rooms(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        for room in self.rooms.clone() {
            let body = format!("{{\"identity\":\"{}\"}}", self.identity);
            self.write(&format!("/v1/rooms/{room}/commands/join"), &body);
            expect_success(connection, &self.request).await?;
        }
        Ok(())
    }

    /// The next request. All hands in all rooms are raised, then all are lowered, and so on.
    pub fn next(&mut self) -> &[u8] {
        if let Work::Get(_) = self.work {
            let path = &self.paths[self.made % self.paths.len()];
            self.request.clear();
            // Writing to a vector cannot fail.
            let _ = write!(self.request, "GET {path}{}\r\n", self.headers);
        } else {
            let turn = self.made / self.rooms.len();
            let room = self.rooms[self.made % self.rooms.len()];
            let command = if turn.is_multiple_of(2) { "raise-hand" } else { "lower-hand" };
            let body = format!("{{\"identity\":\"{}\"}}", self.identity);
            self.write(&format!("/v1/rooms/{room}/commands/{command}"), &body);
        }
        self.made += 1;
        &self.request
    }

    fn write(&mut self, path: &str, body: &str) {
        let (headers, run, length) = (&self.headers, self.run.simple(), body.len());
        self.request.clear();
        self.sent += 1;
        let _ = write!(
            self.request,
            "POST {path}{headers}idempotency-key: {run}-{sent}\r\ncontent-length: {length}\r\n\r\n{body}",
            sent = self.sent,
        );
    }
}

async fn expect_success(connection: &mut Connection, request: &[u8]) -> Result<(), Failure> {
    match connection.exchange(request).await? {
        200..300 => Ok(()),
        status => Err(format!("answered {status}: {}", String::from_utf8_lossy(connection.body())).into()),
    }
}
