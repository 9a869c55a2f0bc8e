//! One connection: HTTP/1.1 by hyper, with what hyper answers or leaves unanswered by itself told as problems.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::Request;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::timed_stream::{RequestPhase, TimedStream};
use super::{HEAD_PATIENCE, KEEP_ALIVE, LINGER, TURNED_AWAY_LINGER};
use crate::config::HttpConfig;
use crate::http::problem::{Problem, ProblemCode};

/// The least that hyper takes as the bound of a buffer.
const LEAST_BUFFER: usize = 8192;
/// A connection's buffers for one body frame and one answer on its way.
const BUFFER: usize = 64 * 1024;

/// What answers on every connection.
#[derive(Clone)]
pub(super) struct ConnectionService {
    http: http1::Builder,
    router: Router,
    head_patience: Duration,
}

impl ConnectionService {
    pub fn new(router: Router, config: &HttpConfig) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(KEEP_ALIVE)
            .max_header_size(config.header_limit)
            .max_buf_size(BUFFER.max(config.header_limit).max(LEAST_BUFFER));
        Self { http, router, head_patience: HEAD_PATIENCE.min(config.request_timeout) }
    }

    /// Answers until either side closes, or `stop` is cancelled and what is in flight is answered.
    pub async fn serve(self, stream: TcpStream, stop: CancellationToken) {
        // Answers are written whole: waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let phase = Arc::new(RequestPhase::default());
        let timed_stream = TimedStream::new(stream, Arc::clone(&phase), self.head_patience);
        let calls = RouterService { router: self.router, phase: Arc::clone(&phase) };
        let mut connection = self.http.serve_connection(TokioIo::new(timed_stream), calls);

        let mut stopped = pin!(stop.cancelled());
        let mut draining = false;
        let result = poll_fn(|cx| {
            if !draining && stopped.as_mut().poll(cx).is_ready() {
                draining = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_without_shutdown(cx)
        })
        .await;

        let mut timed_stream = connection.into_parts().io.into_inner();
        if timed_stream.head_overdue() {
            let detail = format!("The complete head of the request did not arrive within {:?}.", self.head_patience);
            let _ = timed_stream.write_all(&on_the_wire(&Problem::new(ProblemCode::RequestTimeout, detail))).await;
        }
        if result.is_err() || !(draining || timed_stream.is_read_to_end()) {
            linger(&mut timed_stream, LINGER).await;
        } else {
            let _ = timed_stream.shutdown().await;
        }
    }
}

/// The routes as hyper calls them.
struct RouterService {
    router: Router,
    phase: Arc<RequestPhase>,
}

impl hyper::service::Service<Request<Incoming>> for RouterService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.phase.begin();
        let phase = Arc::clone(&self.phase);
        let answering = self.router.clone().call(request.map(Body::new));
        Box::pin(async move {
            let response = answering.await?;
            Ok(response.map(|body| {
                if body.size_hint().exact().is_some() {
                    phase.end();
                    return body;
                }
                // What comes in meanwhile belongs to this request still: an answer may begin before the body has come to its end.
                Body::new(TrackedBody { body, phase })
            }))
        })
    }
}

/// A response with a streaming body.
struct TrackedBody {
    body: Body,
    phase: Arc<RequestPhase>,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        self.phase.end();
    }
}

/// A problem as bytes of HTTP/1.1, for where no request was read that could be answered.
pub(super) fn on_the_wire(problem: &Problem) -> Vec<u8> {
    let body = problem.to_json(None).to_string();
    let status = problem.status();
    let retry = if status.as_u16() == 503 { "retry-after: 1\r\n" } else { "" };
    format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n{retry}connection: close\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n{body}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
    )
    .into_bytes()
}

/// Answers a connection that is not served.
pub(super) async fn tell_and_close(mut stream: TcpStream, problem: &Problem) {
    let answered = tokio::time::timeout(TURNED_AWAY_LINGER, stream.write_all(&on_the_wire(problem))).await;
    if let Ok(Ok(())) = answered {
        linger(&mut stream, TURNED_AWAY_LINGER).await;
    }
}

/// Closing a socket with unread bytes resets the connection, and the client may never see the answer: what still arrives is
/// read and thrown away for a bounded while, however much it is.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, patience: Duration) {
    let reading = async {
        stream.shutdown().await?;
        // Not in the future itself, which every connection has.
        let mut rest = vec![0u8; 16 * 1024];
        while stream.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(patience, reading).await;
}
