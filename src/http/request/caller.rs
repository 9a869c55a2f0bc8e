//! Who asks: the bearer token of a request (RFC 6750, section 2.1).

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::headers;
use crate::commands::context::Caller;
use crate::http::api::Api;
use crate::http::problem::{Problem, ProblemCode};

/// The caller whose token was verified.
#[derive(Clone, Debug)]
pub struct Signed(pub Arc<Caller>);

impl FromRequestParts<Api> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let token = headers::single(&parts.headers, header::AUTHORIZATION)?.and_then(bearer);
        let token = token.ok_or_else(|| {
            Problem::new(ProblemCode::Unauthenticated, "The request has no `Authorization: Bearer TOKEN` header.")
        })?;
        Ok(Self(api.verifier.verify(token, api.clock.now()).await?))
    }
}

/// The token behind the scheme, whose case does not matter.
fn bearer(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn a_bearer_token_is_taken_and_nothing_else() {
        assert_eq!(bearer(b"Bearer abc.def"), Some("abc.def"));
        assert_eq!(bearer(b"bearer  abc "), Some("abc"));
        for text in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(bearer(text.as_bytes()), None, "{text}");
        }
    }
}
