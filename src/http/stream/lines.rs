//! Events as lines of JSON (NDJSON), page by page: any range of the log in the memory of one page.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, stream};

use super::live::StreamPermit;
use crate::events::envelope::Envelope;
use crate::http::problem::Problem;
use crate::live::Live;
use crate::live::follow::{self, EventScope, PAGE};
use crate::live::published::EventMedium;
use crate::live::renderer::EventRenderer;

/// A range of events.
pub struct EventLines {
    pub live: Live,
    pub scope: EventScope,
    pub renderer: EventRenderer,
    /// After this number.
    pub after: u64,
    /// Up to this number.
    pub until: u64,
    pub permit: StreamPermit,
}

/// The answer was begun and cannot be finished. The connection is cut, so that nobody takes a part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the lines could not be read on: {0}")]
pub struct StreamCutOff(String);

impl EventLines {
    /// The answer. The first page is read before it begins: a log that cannot be read is told as a problem.
    pub async fn into_response(mut self) -> Result<Response, Problem> {
        let first = self.page().await?;
        let mut response = Body::from_stream(self.into_stream(first)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        Ok(response)
    }

    fn into_stream(self, first: Bytes) -> impl Stream<Item = Result<Bytes, StreamCutOff>> {
        stream::unfold((Some(self), Some(first)), |(lines, first)| async move {
            if let Some(first) = first {
                return Some((Ok(first), (lines, None)));
            }
            let mut lines = lines?;
            while lines.after < lines.until {
                match lines.page().await {
                    Ok(page) if page.is_empty() => {}
                    Ok(page) => return Some((Ok(page), (Some(lines), None))),
                    Err(problem) => {
                        let cause = problem.cause().unwrap_or(problem.detail()).to_owned();
                        tracing::warn!(tenant = %lines.scope.tenant(), after = lines.after, cause, "lines were cut off");
                        return Some((Err(StreamCutOff(cause)), (None, None)));
                    }
                }
            }
            drop(lines.permit);
            None
        })
    }

    /// The lines of the next page; empty where there are none in it for this reader.
    async fn page(&mut self) -> Result<Bytes, Problem> {
        if self.after >= self.until {
            return Ok(Bytes::new());
        }
        let range = follow::read(&self.live, &self.scope, self.after, PAGE).await?;
        self.after = if range.ended { self.until } else { range.through };
        let mut events = range.events;
        events.retain(|event| self.scope.number(&event.envelope) <= self.until);
        let mut buffer = BytesMut::new();
        let json = |_: &Envelope, json: String| Bytes::from(json);
        let rendered =
            self.renderer.render(&self.live, &self.scope, events, range.from, EventMedium::Json, json).await?;
        for (_, json) in rendered {
            buffer.put_slice(&json);
            buffer.put_u8(b'\n');
        }
        Ok(buffer.freeze())
    }
}
