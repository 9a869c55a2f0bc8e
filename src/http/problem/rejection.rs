//! What the extractors of the web framework refuse, as problems.

use std::error::Error;

use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};

use super::{Problem, ProblemCode};
use crate::http::body::BodyStalled;

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self::of_body(rejection.status().as_u16(), &rejection)
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Problem::parameter("path", rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        let fault = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
        Problem::parameter("query", fault)
    }
}

impl Problem {
    /// Why a body could not be read whole: too large, too slow, or cut off by its sender.
    pub fn of_body(status: u16, error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(inner) = cause {
            if inner.is::<BodyStalled>() {
                return Problem::new(ProblemCode::RequestTimeout, inner.to_string());
            }
            if inner.is::<http_body_util::LengthLimitError>() {
                return Problem::new(ProblemCode::PayloadTooLarge, "The body has more bytes than this route takes.");
            }
            cause = inner.source();
        }
        if status == 413 {
            return Problem::new(ProblemCode::PayloadTooLarge, "The body has more bytes than this route takes.");
        }
        Problem::new(
            ProblemCode::MalformedRequest,
            "The body ended before it was complete, or is not framed as HTTP/1.1.",
        )
    }
}
