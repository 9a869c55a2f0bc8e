//! The socket under hyper, with three features that hyper has no setting for:
//!
//! - The head of a request has a time-out of its own, from its first byte, besides that of an idle connection.
//! - A response is aborted if its client neither reads it nor sends anything.
//! - hyper's own response to an unparsable head (a status without a body) becomes a problem response. It is recognised by its
//!   form while no request is being answered: all other errors have a body.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::WRITE_STALL;
use super::connection::on_the_wire;
use crate::http::problem::{Problem, ProblemCode};

/// Whether a request is being answered on a connection. Service and socket run in one task: the atomics order nothing,
/// they only let the task move between threads.
#[derive(Debug, Default)]
pub(super) struct RequestPhase {
    answering: AtomicBool,
    begun: AtomicU32,
}

impl RequestPhase {
    pub fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.answering.store(false, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct TimedStream {
    stream: TcpStream,
    phase: Arc<RequestPhase>,
    head_patience: Duration,
    /// How many requests had begun when this one's head was first seen; `None` between requests.
    head: Option<u32>,
    head_timer: Option<Pin<Box<Sleep>>>,
    head_overdue: bool,
    read_to_end: bool,
    stall: Option<Pin<Box<Sleep>>>,
    /// An answer of ours in place of hyper's, on its way out.
    instead: Vec<u8>,
}

impl TimedStream {
    pub fn new(stream: TcpStream, phase: Arc<RequestPhase>, head_patience: Duration) -> Self {
        Self {
            stream,
            phase,
            head_patience,
            head: None,
            head_timer: None,
            head_overdue: false,
            read_to_end: false,
            stall: None,
            instead: Vec::new(),
        }
    }

    /// Whether reading failed because a head did not come in time.
    pub fn head_overdue(&self) -> bool {
        self.head_overdue
    }

    /// Whether the client has closed its side.
    pub fn is_read_to_end(&self) -> bool {
        self.read_to_end
    }

    fn note_read(&mut self, bytes: usize) {
        self.read_to_end = bytes == 0;
        // A client that is still sending its body reads the answer when it has sent it: its time begins then.
        self.stall = None;
        if !self.phase.answering.load(Ordering::Relaxed) {
            self.head.get_or_insert(self.phase.begun.load(Ordering::Relaxed));
        }
    }

    fn poll_head_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.head != Some(self.phase.begun.load(Ordering::Relaxed)) || self.head_overdue {
            self.head = None;
            self.head_timer = None;
            return Poll::Pending;
        }
        let patience = self.head_patience;
        let timer = self.head_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(timer.as_mut().poll(cx));
        self.head_overdue = true;
        Poll::Ready(())
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_STALL)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }

    /// Sends what is to be sent in place of hyper's own answer.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.instead) {
                Poll::Ready(sent) => drop(self.instead.drain(..sent?)),
                Poll::Pending => return self.poll_stall(cx).map_ok(|_| ()),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether `bytes` are an answer of hyper's own; if so, ours goes out instead.
    fn replace(&mut self, bytes: &[u8]) -> bool {
        if !bytes.starts_with(b"HTTP/1.") || bytes.get(9) != Some(&b'4') {
            return false;
        }
        if self.phase.answering.load(Ordering::Relaxed) || !bytes.ends_with(b"\r\n\r\n") {
            return false;
        }
        let Some(problem) = hypers_own(bytes) else { return false };
        self.instead = on_the_wire(&problem);
        true
    }
}

/// The problem that hyper means by a status without a body.
fn hypers_own(bytes: &[u8]) -> Option<Problem> {
    let head = std::str::from_utf8(bytes).ok()?;
    head.contains("\r\ncontent-length: 0\r\n").then_some(())?;
    let (code, detail) = match head.get(9..12)? {
        "400" => (ProblemCode::MalformedRequest, "The head of the request is not valid HTTP/1.1."),
        "414" => (ProblemCode::UriTooLong, "The request line is longer than the server accepts."),
        "431" => {
            (ProblemCode::HeadersTooLarge, "The head of the request has more bytes or lines than the server accepts.")
        }
        _ => return None,
    };
    Some(Problem::new(code, detail))
}

impl AsyncRead for TimedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let read = buf.filled().len() - before;
                self.note_read(read);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => self
                .poll_head_timer(cx)
                .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the head of a request did not arrive in time"))),
        }
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.as_mut().poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(cx))?;
        if let [only] = parts
            && self.replace(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        match Pin::new(&mut self.stream).poll_write_vectored(cx, parts) {
            Poll::Ready(sent) => {
                self.stall = None;
                Poll::Ready(sent)
            }
            Poll::Pending => self.poll_stall(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
