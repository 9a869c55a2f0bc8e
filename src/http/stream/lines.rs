//! Events as lines of JSON (NDJSON), page by page: any stretch of the log in the memory of one page.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, stream};

use super::follow::{self, PAGE, Whose};
use super::live::Ticket;
use super::show::Show;
use crate::events::log::EventLog;
use crate::http::problem::Problem;

/// A stretch of events.
pub struct Lines {
    pub log: EventLog,
    pub whose: Whose,
    pub show: Show,
    /// After this number.
    pub after: u64,
    /// Up to this number.
    pub until: u64,
    pub ticket: Ticket,
}

/// The answer was begun and cannot be finished. The connection is cut, so that nobody takes a part for the whole.
#[derive(Debug, thiserror::Error)]
#[error("the lines could not be read on: {0}")]
pub struct CutOff(String);

impl Lines {
    /// The answer. The first page is read before it begins: a log that cannot be read is told as a problem.
    pub async fn into_response(mut self) -> Result<Response, Problem> {
        let first = self.page().await?;
        let mut response = Body::from_stream(self.into_stream(first)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        Ok(response)
    }

    fn into_stream(self, first: Bytes) -> impl Stream<Item = Result<Bytes, CutOff>> {
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
                        tracing::warn!(tenant = %lines.whose.tenant(), after = lines.after, cause, "lines were cut off");
                        return Some((Err(CutOff(cause)), (None, None)));
                    }
                }
            }
            drop(lines.ticket);
            None
        })
    }

    /// The lines of the next page; empty where there are none in it for this reader.
    async fn page(&mut self) -> Result<Bytes, Problem> {
        if self.after >= self.until {
            return Ok(Bytes::new());
        }
        let page = follow::read(&self.log, &self.whose, self.after, PAGE).await?;
        self.after = if page.ended { self.until } else { page.through };
        let mut events = page.events;
        events.retain(|event| self.whose.number(event) <= self.until);
        let mut buffer = BytesMut::new();
        for shown in self.show.show(events, false).await? {
            buffer.put_slice(shown.json.as_bytes());
            buffer.put_u8(b'\n');
        }
        Ok(buffer.freeze())
    }
}
