//! The caller of a request, from its bearer token (RFC 6750, section 2.1).

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::headers;
use crate::commands::context::Caller;
use crate::events::time::Clock;
use crate::http::api::Api;
use crate::http::problem::{Problem, ProblemCode};
use crate::security::tokens::{TokenError, TokenVerifier, VerifiedToken};

/// The caller whose token was verified.
#[derive(Clone, Debug)]
pub struct Authenticated(pub Arc<Caller>);

impl FromRequestParts<Api> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let token = token(parts)?;
        Ok(Self(api.verifier.verify(token, api.clock.now()).await?))
    }
}

/// The token itself, for an answer that may outlive it.
pub struct SessionToken {
    token: Box<str>,
    found: Option<VerifiedToken>,
    verifier: TokenVerifier,
    clock: Clock,
}

impl SessionToken {
    /// Whether the token is still good: it has not expired, its key was not revoked. A moment at which that cannot be told
    /// is not held against it.
    pub async fn is_good(&mut self) -> bool {
        self.check().await.is_ok()
    }

    /// The same, or what is wrong with it by now.
    pub async fn check(&mut self) -> Result<(), Problem> {
        match self.verifier.verify_again(&self.token, &mut self.found, self.clock.now()).await {
            Ok(()) | Err(TokenError::Unavailable(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl FromRequestParts<Api> for SessionToken {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        Ok(Self { token: token(parts)?.into(), found: None, verifier: api.verifier.clone(), clock: api.clock.clone() })
    }
}

fn token(parts: &Parts) -> Result<&str, Problem> {
    headers::single(&parts.headers, header::AUTHORIZATION)?.and_then(bearer).ok_or_else(|| {
        Problem::new(ProblemCode::Unauthenticated, "The request has no `Authorization: Bearer TOKEN` header.")
    })
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
