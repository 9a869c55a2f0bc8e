//! Commands as lines, in and out: read while others are on their way, answered in the order in which they came.

use std::convert::Infallible;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt, stream};

use super::AT_ONCE;
use super::item::{Around, Item};
use super::lanes::Lanes;
use crate::http::api::Api;
use crate::http::body;
use crate::http::problem::{Problem, ProblemCode};
use crate::http::request::caller::Pass;
use crate::json;

struct Lines {
    api: Api,
    around: Around,
    /// The sender's token; no line is taken that comes after its end.
    pass: Pass,
    input: BodyDataStream,
    /// What has been read and not yet been taken as lines.
    buffer: BytesMut,
    /// How far the buffer holds no line break.
    scanned: usize,
    /// Lines taken.
    count: usize,
    ended: bool,
    lanes: Lanes,
}

pub fn answer(api: Api, around: Around, pass: Pass, body: Body) -> Response {
    let lines = Lines {
        lanes: Lanes::new(api.clone()),
        api,
        around,
        pass,
        input: body.into_data_stream(),
        buffer: BytesMut::new(),
        scanned: 0,
        count: 0,
        ended: false,
    };
    let mut response = Body::from_stream(lines.into_stream()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}

impl Lines {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, |mut lines| async move {
            let chunk = lines.chunk().await?;
            Some((Ok(chunk), lines))
        })
    }

    /// The next answers; `None`: all have been given.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            while self.lanes.len() < AT_ONCE && self.take_line().await {}
            if self.lanes.is_empty() {
                if self.ended {
                    return None;
                }
                self.read().await;
                continue;
            }
            if self.ended || self.lanes.len() >= AT_ONCE {
                return self.answers().await;
            }
            let stop = self.api.stop.clone();
            tokio::select! {
                biased;
                answer = self.lanes.next() => return answer.map(|answer| self.gather(&answer)),
                read = self.input.next() => self.took(read).await,
                () = stop.cancelled() => self.stop().await,
            }
        }
    }

    async fn answers(&mut self) -> Option<Bytes> {
        let answer = self.lanes.next().await?;
        Some(self.gather(&answer))
    }

    /// An answer and those that are ready behind it.
    fn gather(&mut self, first: &str) -> Bytes {
        let mut out = BytesMut::with_capacity(first.len() + 1);
        out.put_slice(first.as_bytes());
        out.put_u8(b'\n');
        while let Some(Some(answer)) = self.lanes.next().now_or_never() {
            out.put_slice(answer.as_bytes());
            out.put_u8(b'\n');
        }
        out.freeze()
    }

    async fn read(&mut self) {
        let stop = self.api.stop.clone();
        tokio::select! {
            read = self.input.next() => self.took(read).await,
            () = stop.cancelled() => self.stop().await,
        }
    }

    async fn took(&mut self, read: Option<Result<Bytes, axum::Error>>) {
        match read {
            Some(Ok(bytes)) => match self.pass.check().await {
                Ok(()) => self.buffer.extend_from_slice(&bytes),
                Err(problem) => self.refuse(problem).await,
            },
            // The sender has gone, or stalls: what came whole is carried out, half a line is not, and who still listens is
            // told so.
            Some(Err(error)) => self.refuse(body::unreadable(&error, self.api.http.body_limit)).await,
            None => {
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
            "The server is being stopped: this line and those behind it were not read.",
        ))
        .await;
    }

    /// The last answer: no more lines are taken.
    async fn refuse(&mut self, problem: Problem) {
        self.lanes.push(Err(problem)).await;
        self.drop_rest();
    }

    fn drop_rest(&mut self) {
        self.buffer.clear();
        self.scanned = 0;
        self.ended = true;
    }

    /// Takes a line out of the buffer, if there is a whole one.
    async fn take_line(&mut self) -> bool {
        let Some(end) = self.buffer[self.scanned..].iter().position(|&b| b == b'\n') else {
            self.scanned = self.buffer.len();
            let limit = self.api.http.body_limit;
            if self.scanned > limit {
                let detail = format!("The line has more than {limit} bytes. It and those behind it were not read.");
                self.refuse(Problem::new(ProblemCode::PayloadTooLarge, detail)).await;
            }
            return false;
        };
        let line = self.buffer.split_to(self.scanned + end + 1);
        self.scanned = 0;
        let line = line.trim_ascii();
        if !line.is_empty() {
            let item = self.item(line);
            self.lanes.push(item).await;
            self.count += 1;
        }
        true
    }

    fn item(&self, line: &[u8]) -> Result<Item, Problem> {
        Item::read(&self.api, &self.around, self.count, json::check(line)?, "")
    }
}
