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
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};
use prometheus::IntGauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use uuid::Uuid;

use super::sse::{self, FrameBuffer};
use crate::events::envelope::Envelope;
use crate::http::events_request;
use crate::http::problem::{Problem, ProblemCode};
use crate::http::request::caller::SessionToken;
use crate::live::follow::{EventFollower, EventOrigin, EventScope, FollowStep};
use crate::live::published::{EventMedium, PublishedEvent};
use crate::live::renderer::EventRenderer;
use crate::live::{self, LiveError};
use crate::resilience::shortened;

/// How long readers wait before they come back, at most. Each is told a time between half of it and all, by chance: readers that a
/// stop sends away in one instant come back spread.
pub const RETRY: Duration = Duration::from_secs(6);

/// Counts an open stream for as long as it lives.
pub struct StreamPermit {
    gauge: IntGauge,
    _permit: OwnedSemaphorePermit,
}

impl StreamPermit {
    pub fn new(gauge: &IntGauge, permit: OwnedSemaphorePermit) -> Self {
        gauge.inc();
        Self { gauge: gauge.clone(), _permit: permit }
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// One reader's stream.
pub struct LiveStream {
    pub live: live::Live,
    pub follow: EventFollower,
    pub renderer: EventRenderer,
    /// The reader's token; the stream does not outlive it.
    pub token: SessionToken,
    pub epoch: Uuid,
    pub heartbeat: Duration,
    pub permit: StreamPermit,
}

/// Why a stream ends, told in its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamEnd {
    Stopping,
    Lagged,
    Failed,
    RoomEnded,
    TokenEnded,
    NotInRoom,
}

impl StreamEnd {
    const ALL: [StreamEnd; 6] = [
        StreamEnd::Stopping,
        StreamEnd::Lagged,
        StreamEnd::Failed,
        StreamEnd::RoomEnded,
        StreamEnd::TokenEnded,
        StreamEnd::NotInRoom,
    ];

    fn code(self) -> &'static str {
        match self {
            StreamEnd::Stopping => "stopping",
            StreamEnd::Lagged => "lagged",
            StreamEnd::Failed => "failed",
            StreamEnd::RoomEnded => "room-ended",
            StreamEnd::TokenEnded => "token-ended",
            StreamEnd::NotInRoom => "not-in-room",
        }
    }

    fn about(self) -> &'static str {
        match self {
            StreamEnd::Stopping => "The server stops. Come back with the last id.",
            StreamEnd::Lagged => {
                "The reader is too slow, and more events wait than are kept for one. Come back with the last id."
            }
            StreamEnd::Failed => "The server failed to read on. Come back with the last id.",
            StreamEnd::RoomEnded => "The room has ended: nothing more will happen in it.",
            StreamEnd::TokenEnded => {
                "The token has expired, or its key was revoked. Come back with another one and the last id."
            }
            StreamEnd::NotInRoom => "The reader is no longer in the room. Join again, then come back with the last id.",
        }
    }
}

/// Why streams end: the code and what it means.
pub fn ends() -> impl Iterator<Item = (&'static str, &'static str)> {
    StreamEnd::ALL.into_iter().map(|end| (end.code(), end.about()))
}

struct RunningStream {
    stream: LiveStream,
    quiet: Pin<Box<Sleep>>,
    /// The last number that the reader was told.
    announced: u64,
    begun: bool,
    ended: bool,
}

impl LiveStream {
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
        let running = RunningStream {
            announced: self.follow.after(),
            quiet: Box::pin(tokio::time::sleep(self.heartbeat)),
            stream: self,
            begun: false,
            ended: false,
        };
        stream::unfold(running, |mut running| async move {
            let chunk = running.chunk().await?;
            Some((Ok(chunk), running))
        })
    }
}

impl RunningStream {
    /// What is to be written next; `None`: the stream is over.
    async fn chunk(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let mut chunk = FrameBuffer::default();
        if !self.begun {
            self.begun = true;
            sse::retry(chunk.buffer(), shortened(RETRY));
            sse::place(chunk.buffer(), &self.cursor(self.announced));
            return Some(chunk.freeze());
        }
        while chunk.is_empty() {
            self.step(&mut chunk).await;
        }
        let next = tokio::time::Instant::now() + self.stream.heartbeat;
        self.quiet.as_mut().reset(next);
        Some(chunk.freeze())
    }

    async fn step(&mut self, chunk: &mut FrameBuffer) {
        // Reading history is not interrupted by a heartbeat: it would begin again each time.
        let is_live = self.stream.follow.is_live();
        let step = tokio::select! {
            biased;
            step = self.stream.follow.next(&self.stream.live) => step,
            () = self.quiet.as_mut(), if is_live => return self.beat(chunk).await,
        };
        match step {
            Ok(FollowStep::Events(..)) if !Box::pin(self.stream.token.is_good()).await => {
                self.end(chunk, StreamEnd::TokenEnded)
            }
            Ok(FollowStep::Events(events, from)) => match Box::pin(self.render(events, from)).await {
                Ok(rendered) => self.write(chunk, rendered),
                Err(error) => self.fail(chunk, &error),
            },
            Ok(FollowStep::Lagged) => self.end(chunk, StreamEnd::Lagged),
            Ok(FollowStep::Closed) => self.end(chunk, StreamEnd::Stopping),
            Err(error) => self.fail(chunk, &error),
        }
    }

    /// The events as they are written, shared by all readers of the same stream who see them alike.
    async fn render(
        &mut self,
        events: Vec<Arc<PublishedEvent>>,
        from: EventOrigin,
    ) -> Result<Vec<(Arc<PublishedEvent>, Bytes)>, LiveError> {
        let LiveStream { live, follow, renderer, epoch, .. } = &mut self.stream;
        let (scope, epoch) = (follow.scope(), *epoch);
        let medium = match scope {
            EventScope::Room(_) => EventMedium::RoomStream(epoch),
            EventScope::Tenant(_) => EventMedium::TenantStream(epoch),
        };
        let write = |envelope: &Envelope, json: String| {
            let id = events_request::cursor(scope, epoch, scope.number(envelope)).to_string();
            let mut frame = BytesMut::new();
            sse::event(&mut frame, &id, &envelope.event_type, &json);
            frame.freeze()
        };
        renderer.render(live, scope, events, from, medium, write).await
    }

    fn write(&mut self, chunk: &mut FrameBuffer, rendered: Vec<(Arc<PublishedEvent>, Bytes)>) {
        for (event, frame) in rendered {
            let scope = self.stream.follow.scope();
            self.announced = scope.number(&event.envelope);
            let is_last = &*event.envelope.event_type == "room.ended" && matches!(scope, EventScope::Room(_));
            chunk.put(frame);
            if is_last {
                self.end(chunk, StreamEnd::RoomEnded);
            }
        }
        if self.stream.renderer.is_over() {
            self.end(chunk, StreamEnd::NotInRoom);
        }
    }

    async fn beat(&mut self, chunk: &mut FrameBuffer) {
        if !Box::pin(self.stream.token.is_good()).await {
            return self.end(chunk, StreamEnd::TokenEnded);
        }
        self.stream.follow.rest();
        let after = self.stream.follow.after();
        if after == self.announced {
            return sse::comment(chunk.buffer());
        }
        sse::place(chunk.buffer(), &self.cursor(after));
        self.announced = after;
    }

    fn fail(&mut self, chunk: &mut FrameBuffer, error: &LiveError) {
        tracing::warn!(tenant = %self.stream.follow.scope().tenant(), %error, "a stream ended before its time");
        self.end(chunk, StreamEnd::Failed);
    }

    /// The last event. It moves no id but to what was passed.
    fn end(&mut self, chunk: &mut FrameBuffer, end: StreamEnd) {
        self.ended = true;
        let id = self.cursor(self.announced);
        let data = format!("{{\"reason\":\"{}\",\"cursor\":\"{id}\",\"detail\":\"{}\"}}", end.code(), end.about());
        sse::event(chunk.buffer(), &id, "goodbye", &data);
    }

    fn cursor(&self, number: u64) -> String {
        events_request::cursor(self.stream.follow.scope(), self.stream.epoch, number).to_string()
    }
}

/// A place among the open streams, or why there is none.
pub fn permit(permits: &Arc<Semaphore>, gauge: &IntGauge) -> Result<StreamPermit, Problem> {
    let permit = permits.clone().try_acquire_owned();
    permit.map(|permit| StreamPermit::new(gauge, permit)).map_err(|_| {
        Problem::new(
            ProblemCode::TooManyStreams,
            "As many streams are open as the server takes. Come back with your cursor.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F>(_: impl Fn(LiveStream) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_stream_that_waits_is_small() {
        let stream = size(LiveStream::into_stream);
        assert!(stream <= 1_024, "{stream} bytes");
    }
}
