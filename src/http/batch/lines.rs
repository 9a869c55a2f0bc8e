//! Commands as lines, in and out: read while others are on their way, answered in the order in which they came.
//!
//! A task of its own reads and carries out; its answers wait in the [spool](crate::http::spool) until the client reads them, so
//! that a client which sends all before it reads is served as well as one that does both at once. Where the list breaks off
//! before its end, the last line says so, and the rest of the body is read and thrown away until the client has seen it.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::AT_ONCE;
use super::item::{BatchContext, BatchItem};
use super::ordered_batch::OrderedBatch;
use crate::http::api::Api;
use crate::http::body;
use crate::http::problem::{Problem, ProblemCode};
use crate::http::request::caller::SessionToken;
use crate::http::spool::{SpoolError, SpoolReader, SpoolWriter};
use crate::json;

/// Bytes of answers that are handed on together, beside the answer that exceeds them.
const GATHERED: usize = 64 * 1024;
/// How long the rest of a list that was broken off is read and thrown away, at most.
const DRAIN: Duration = Duration::from_secs(300);
/// The same while the server stops.
const DRAIN_AT_STOP: Duration = Duration::from_secs(2);
/// A client that has read the last answer and sends nothing but white space for so long is not waited for.
const QUIET: Duration = Duration::from_millis(250);

/// Some programs begin a text with it. It is no part of a line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

struct LineBatch {
    api: Api,
    context: BatchContext,
    /// The sender's token; no line is taken that comes after its end.
    token: SessionToken,
    input: BodyDataStream,
    /// What has been read and not yet been taken as lines.
    buffer: BytesMut,
    /// How far the buffer holds no line break.
    scanned: usize,
    /// Lines taken.
    count: usize,
    /// Until when a line has to be there; `None` while none is waited for, or commands are on their way.
    due: Option<Instant>,
    /// No more lines are taken.
    ended: bool,
    /// The body has come to its end, or failed.
    read_to_end: bool,
    batch: OrderedBatch,
}

pub fn answer(api: &Api, context: BatchContext, token: SessionToken, body: Body) -> Response {
    let lines = LineBatch {
        batch: OrderedBatch::new(api.clone(), context.minimal),
        api: api.clone(),
        context,
        token,
        input: body.into_data_stream(),
        buffer: BytesMut::new(),
        scanned: 0,
        count: 0,
        due: None,
        ended: false,
        read_to_end: false,
    };
    let (answers, unread) = api.spool().open();
    let task = tokio::spawn(lines.run(answers)).abort_handle();
    let mut response = Body::from_stream(stream(unread, AbortOnDrop(task))).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

/// Ends with the answer: where the client has gone, no more lines are taken.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn stream(unread: SpoolReader, working: AbortOnDrop) -> impl Stream<Item = Result<Bytes, SpoolError>> {
    stream::unfold((unread, working), |(mut unread, working)| async move {
        let next = unread.next().await?;
        Some((next, (unread, working)))
    })
}

impl LineBatch {
    async fn run(mut self, answers: SpoolWriter) {
        while let Some(chunk) = self.chunk().await {
            let unread = !answers.push(chunk).await;
            if unread && !self.ended {
                let detail = "The responses were not read, and their buffer is full: this line and all following lines were not \
                              executed. Read responses while you send, send shorter lists, or send `Prefer: return=minimal`.";
                self.refuse(Problem::new(ProblemCode::TooBusy, detail)).await;
            }
        }
        self.drain(&answers).await;
        answers.end();
    }

    /// The next answers; `None`: all have been given.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            while self.batch.len() < AT_ONCE && self.take_line().await {}
            if self.batch.is_empty() {
                if self.ended {
                    return None;
                }
                self.read().await;
                continue;
            }
            if self.ended || self.batch.len() >= AT_ONCE {
                return self.answers().await;
            }
            // Who waits for an answer before sending the next line is not waited for.
            self.due = None;
            let stop = self.api.stop.clone();
            tokio::select! {
                biased;
                answer = self.batch.next() => return answer.map(|answer| self.gather(&answer)),
                read = self.input.next() => self.took(read).await,
                () = stop.cancelled() => self.stop().await,
            }
        }
    }

    async fn answers(&mut self) -> Option<Bytes> {
        let answer = self.batch.next().await?;
        Some(self.gather(&answer))
    }

    /// An answer and those that are ready behind it.
    fn gather(&mut self, first: &str) -> Bytes {
        let mut out = BytesMut::with_capacity(first.len() + 1);
        out.put_slice(first.as_bytes());
        out.put_u8(b'\n');
        while out.len() < GATHERED
            && let Some(Some(answer)) = self.batch.next().now_or_never()
        {
            out.put_slice(answer.as_bytes());
            out.put_u8(b'\n');
        }
        out.freeze()
    }

    async fn read(&mut self) {
        let due = self.due();
        let stop = self.api.stop.clone();
        tokio::select! {
            read = self.input.next() => self.took(read).await,
            () = tokio::time::sleep_until(due) => self.overdue().await,
            () = stop.cancelled() => self.stop().await,
        }
    }

    /// A line has as long to come in as a request by itself. White space between lines is none.
    fn due(&mut self) -> Instant {
        *self.due.get_or_insert_with(|| Instant::now() + self.api.http.request_timeout)
    }

    async fn overdue(&mut self) {
        let patience = self.api.http.request_timeout;
        let detail = format!("No complete line arrived within {patience:?}. The incomplete line was discarded.");
        self.refuse(Problem::new(ProblemCode::RequestTimeout, detail)).await;
    }

    async fn took(&mut self, read: Option<Result<Bytes, axum::Error>>) {
        match read {
            Some(Ok(bytes)) => match self.token.check().await {
                Ok(()) => self.buffer.extend_from_slice(&bytes),
                Err(problem) => self.refuse(problem).await,
            },
            // The sender has gone, or stalls: what came whole is carried out, half a line is not, and who still listens is
            // told so.
            Some(Err(error)) => {
                self.read_to_end = true;
                self.refuse(body::unreadable(&error, self.api.http.body_limit)).await;
            }
            None => {
                self.read_to_end = true;
                self.ended = true;
                if !self.buffer.is_empty() {
                    self.buffer.put_u8(b'\n');
                }
            }
        }
    }

    async fn stop(&mut self) {
        self.refuse(Problem::new(
            ProblemCode::Stopping,
            "The server is stopping: this line and all following lines were not read.",
        ))
        .await;
    }

    /// The last answer: no more lines are taken.
    async fn refuse(&mut self, problem: Problem) {
        self.batch.push(Err(problem)).await;
        self.drop_rest();
    }

    fn drop_rest(&mut self) {
        self.buffer = BytesMut::new();
        self.scanned = 0;
        self.ended = true;
    }

    /// Reads what the client still sends, and throws it away. A connection that is closed while its client sends is reset, and
    /// the client may lose the answers that it has not read.
    async fn drain(&mut self, answers: &SpoolWriter) {
        let patience = if self.api.stop.is_cancelled() { DRAIN_AT_STOP } else { DRAIN };
        let given_up = Instant::now() + patience;
        while !self.read_to_end {
            let quiet = async {
                answers.all_read().await;
                tokio::time::sleep(QUIET).await;
            };
            tokio::select! {
                sends = self.read_more_than_white_space() => self.read_to_end = !sends,
                () = quiet => return,
                () = tokio::time::sleep_until(given_up) => return,
            }
        }
    }

    /// Whether more came than white space, which only keeps the list open.
    async fn read_more_than_white_space(&mut self) -> bool {
        while let Some(Ok(bytes)) = self.input.next().await {
            if !bytes.trim_ascii().is_empty() {
                return true;
            }
        }
        false
    }

    /// Takes a line out of the buffer, if there is a whole one.
    async fn take_line(&mut self) -> bool {
        let Some(end) = self.buffer[self.scanned..].iter().position(|&b| b == b'\n') else {
            self.scanned = self.buffer.len();
            let limit = self.api.http.body_limit;
            if self.scanned > limit {
                let detail = format!("The line has more than {limit} bytes. It and all following lines were not read.");
                self.refuse(Problem::new(ProblemCode::PayloadTooLarge, detail)).await;
            }
            return false;
        };
        let line = self.buffer.split_to(self.scanned + end + 1);
        self.scanned = 0;
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line).trim_ascii();
        if !line.is_empty() {
            self.due = None;
            let item = self.item(line);
            self.batch.push(item).await;
            self.count += 1;
        }
        true
    }

    fn item(&self, line: &[u8]) -> Result<BatchItem, Problem> {
        BatchItem::read(&self.api, &self.context, self.count, json::check(line)?, "")
    }
}
