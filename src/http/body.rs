//! Bodies of requests: bounded in size and in patience, and told as problems where they are at fault.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

use super::problem::{Problem, ProblemCode};

/// A client that sends nothing for this long in the middle of a body is given up.
pub(super) const STALL: Duration = Duration::from_secs(20);

/// The client stopped sending in the middle of its body.
#[derive(Debug, thiserror::Error)]
#[error("The body stopped arriving for {} seconds.", STALL.as_secs())]
pub struct BodyStalled;

/// How many bytes [`WholeBody`] takes; the middleware puts it into every request.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit(pub usize);

/// The whole body of a request, at most the configured bytes. What announces more is refused before it is read.
#[derive(Debug)]
pub struct WholeBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for WholeBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let BodyLimit(limit) = request.extensions().get().copied().unwrap_or(BodyLimit(0));
        let body = request.into_body();
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large(limit));
        }
        match Limited::new(body, limit).collect().await {
            Ok(whole) => Ok(Self(whole.to_bytes())),
            Err(error) => Err(unreadable(&*error, limit)),
        }
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        ProblemCode::PayloadTooLarge,
        format!("The body has more than the {limit} bytes that this route accepts."),
    )
}

/// Why a body could not be read whole: too large, too slow, or cut off by its sender.
pub(super) fn unreadable(error: &(dyn Error + 'static), limit: usize) -> Problem {
    let mut causes = std::iter::successors(Some(error), |cause| (*cause).source());
    if error.is::<LengthLimitError>() {
        too_large(limit)
    } else if let Some(stalled) = causes.find(|cause| cause.is::<BodyStalled>()) {
        Problem::new(ProblemCode::RequestTimeout, stalled.to_string())
    } else {
        Problem::new(ProblemCode::MalformedRequest, "The body ended early, or is not framed as HTTP/1.1 has it.")
    }
}

/// A body that gives up on a sender who stalls, and notes when it has arrived whole.
#[derive(Debug)]
pub(super) struct StallTimeout<B> {
    inner: B,
    arrived: Arc<AtomicBool>,
    stall: Option<Pin<Box<Sleep>>>,
}

impl<B> StallTimeout<B> {
    pub fn new(inner: B, arrived: Arc<AtomicBool>) -> Self {
        Self { inner, arrived, stall: None }
    }
}

impl<B> HttpBody for StallTimeout<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.stall = None;
                if frame.is_none() || this.inner.is_end_stream() {
                    this.arrived.store(true, Ordering::Relaxed);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let stall = this.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALL)));
                stall.as_mut().poll(cx).map(|()| Some(Err(BodyStalled.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
