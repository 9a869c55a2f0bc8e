//! A live stream of server-sent events: what is there, then what comes, until the reader goes, the server stops or the room has
//! ended.
//!
//! ```text
//! retry: 2731            how long to wait before coming back, another time for each reader
//! id: 3f2a91c0-v12       where the stream begins; nothing is dispatched
//! id: 3f2a91c0-v13       ┐
//! event: room.opened     │ an event
//! data: {…}              ┘
//! :                      nothing happened for a while (or an id, when only events for others did)
//! event: goodbye         why the stream ends; the reader comes back with the last id it saw
//! ```

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use prometheus::IntGauge;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::follow::{Follow, Step, Whose};
use super::show::{Show, Shown};
use super::sse;
use crate::http::cursor::Cursor;
use crate::http::problem::{Problem, ProblemCode};
use crate::http::request::caller::Pass;
use crate::resilience::shortened;

/// How long readers wait before they come back, at most. Each is told a time between half of it and all, by chance: readers that a
/// stop sends away in one instant come back spread.
pub const RETRY: Duration = Duration::from_secs(6);

/// Counts an open stream for as long as it lives.
pub struct Ticket {
    gauge: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl Ticket {
    pub fn new(gauge: &IntGauge, permit: OwnedSemaphorePermit) -> Self {
        gauge.inc();
        Self { gauge: gauge.clone(), _permit: permit }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// One reader's stream.
pub struct Live {
    pub follow: Follow,
    pub show: Show,
    /// The reader's token; the stream does not outlive it.
    pub pass: Pass,
    pub epoch: Uuid,
    pub heartbeat: Duration,
    pub stop: CancellationToken,
    pub ticket: Ticket,
}

/// Why a stream ends, told in its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stopping,
    Lagged,
    Failed,
    RoomEnded,
    TokenEnded,
    NotInRoom,
}

impl End {
    const ALL: [End; 6] = [End::Stopping, End::Lagged, End::Failed, End::RoomEnded, End::TokenEnded, End::NotInRoom];

    fn code(self) -> &'static str {
        match self {
            End::Stopping => "stopping",
            End::Lagged => "lagged",
            End::Failed => "failed",
            End::RoomEnded => "room-ended",
            End::TokenEnded => "token-ended",
            End::NotInRoom => "not-in-room",
        }
    }

    fn about(self) -> &'static str {
        match self {
            End::Stopping => "The server stops. Come back with the last id.",
            End::Lagged => {
                "The reader is too slow, and more events wait than are kept for one. Come back with the last id."
            }
            End::Failed => "The server failed to read on. Come back with the last id.",
            End::RoomEnded => "The room has ended: nothing more will happen in it.",
            End::TokenEnded => {
                "The token has expired, or its key was revoked. Come back with another one and the last id."
            }
            End::NotInRoom => "The reader is no longer in the room. Join again, then come back with the last id.",
        }
    }
}

/// Why streams end: the code and what it means.
pub fn ends() -> impl Iterator<Item = (&'static str, &'static str)> {
    End::ALL.into_iter().map(|end| (end.code(), end.about()))
}

struct Running {
    live: Live,
    quiet: Pin<Box<Sleep>>,
    /// The last number that the reader was told.
    told: u64,
    begun: bool,
    ended: bool,
}

impl Live {
    /// The answer. Its first bytes are there at once: the reader knows that the stream stands.
    pub fn into_response(self) -> Response {
        let mut response = Body::from_stream(self.into_stream()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // nginx would gather the stream in a buffer.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        response
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        let running = Running {
            told: self.follow.after(),
            quiet: Box::pin(tokio::time::sleep(self.heartbeat)),
            live: self,
            begun: false,
            ended: false,
        };
        stream::unfold(running, |mut running| async move {
            let chunk = running.chunk().await?;
            Some((Ok(chunk), running))
        })
    }
}

impl Running {
    /// What is to be written next; `None`: the stream is over.
    async fn chunk(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut buffer = BytesMut::new();
        if !self.begun {
            self.begun = true;
            sse::retry(&mut buffer, shortened(RETRY));
            sse::place(&mut buffer, &self.cursor(self.told));
            return Some(buffer.freeze());
        }
        while buffer.is_empty() {
            self.step(&mut buffer).await;
        }
        let next = tokio::time::Instant::now() + self.live.heartbeat;
        self.quiet.as_mut().reset(next);
        Some(buffer.freeze())
    }

    async fn step(&mut self, buffer: &mut BytesMut) {
        // Reading history is not interrupted by a heartbeat: it would begin again each time.
        let is_live = self.live.follow.is_live();
        let stop = self.live.stop.clone();
        let step = tokio::select! {
            biased;
            () = stop.cancelled() => return self.end(buffer, End::Stopping),
            step = self.live.follow.next() => step,
            () = self.quiet.as_mut(), if is_live => return self.beat(buffer).await,
        };
        match step {
            Ok(Step::Events(_)) if !self.live.pass.is_good().await => self.end(buffer, End::TokenEnded),
            Ok(Step::Events(events)) => match self.live.show.show(events, is_live).await {
                Ok(shown) => self.write(buffer, &shown),
                Err(problem) => self.fail(buffer, problem.cause().unwrap_or(problem.detail())),
            },
            Ok(Step::Lagged) => self.end(buffer, End::Lagged),
            Ok(Step::Closed) => self.end(buffer, End::Stopping),
            Err(error) => self.fail(buffer, &error.to_string()),
        }
    }

    fn write(&mut self, buffer: &mut BytesMut, shown: &[Shown]) {
        for event in shown {
            let number = self.live.follow.whose().number(&event.envelope);
            sse::event(buffer, &self.cursor(number), &event.envelope.event_type, &event.json);
            self.told = number;
            if &*event.envelope.event_type == "room.ended" && matches!(self.live.follow.whose(), Whose::Room(_)) {
                self.end(buffer, End::RoomEnded);
            }
        }
        if self.live.show.is_over() {
            self.end(buffer, End::NotInRoom);
        }
    }

    async fn beat(&mut self, buffer: &mut BytesMut) {
        if !self.live.pass.is_good().await {
            return self.end(buffer, End::TokenEnded);
        }
        self.live.follow.rest();
        let after = self.live.follow.after();
        if after == self.told {
            return sse::comment(buffer);
        }
        sse::place(buffer, &self.cursor(after));
        self.told = after;
    }

    fn fail(&mut self, buffer: &mut BytesMut, cause: &str) {
        tracing::warn!(tenant = %self.live.follow.whose().tenant(), cause, "a stream ended before its time");
        self.end(buffer, End::Failed);
    }

    /// The last event. It moves no id but to what was passed.
    fn end(&mut self, buffer: &mut BytesMut, end: End) {
        self.ended = true;
        let id = self.cursor(self.told);
        let data = format!("{{\"reason\":\"{}\",\"cursor\":\"{id}\",\"detail\":\"{}\"}}", end.code(), end.about());
        sse::event(buffer, &id, "goodbye", &data);
    }

    fn cursor(&self, number: u64) -> String {
        match self.live.follow.whose() {
            Whose::Room(_) => Cursor::room_version(self.live.epoch, number),
            Whose::Tenant(_) => Cursor::position(self.live.epoch, number),
        }
        .to_string()
    }
}

/// A place among the open streams, or why there is none.
pub fn ticket(permits: &std::sync::Arc<tokio::sync::Semaphore>, gauge: &IntGauge) -> Result<Ticket, Problem> {
    let permit = permits.clone().try_acquire_owned();
    permit.map(|permit| Ticket::new(gauge, permit)).map_err(|_| {
        Problem::new(
            ProblemCode::TooManyStreams,
            "As many streams are open as the server takes. Come back with your cursor.",
        )
    })
}
