//! Tokens: JWTs that say who calls and what that caller may do.
//!
//! HS256 under a shared secret, RS256, ES256 and EdDSA under a public key of a JWK set. The header's `kid` names the key, the
//! key decides the algorithm: a token that names another one, or `none`, is refused, so that a public key is never taken for
//! a secret. A token with `sub` acts as that person; one without as its key.
//!
//! Leaves to others: what a grant allows (the rules), the header it comes in and the answer to a bad one (the API).

mod claims;
mod mint;
#[cfg(test)]
mod tests;
mod verifier;

pub use claims::{AUDIENCE, Claims, LEEWAY_S, MAX_LIFE_S, NumericDate, TokenAudience};
pub use mint::mint;
pub use verifier::{BadKeys, TokenVerifier, VerifiedToken};

use crate::security::signing_keys::RingUnavailable;

/// Whose rooms a token is for where nothing else is said, in development.
pub const DEVELOPMENT_TENANT: &str = "dev";

/// A longer token is refused unread, bytes.
pub const MAX_BYTES: usize = 8 * 1024;

/// Why a token was not taken. All but [`TokenError::Unavailable`] are the caller's to mend (401). The text is fit for an
/// answer: it says nothing that the bearer of the token could not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the token is not a JWT: {0}")]
    Malformed(&'static str),
    #[error("the header of the token names no key (kid)")]
    NoKid,
    #[error("the token is signed with the key {kid:?}, which is not known here")]
    UnknownKey { kid: String },
    #[error("the token is signed with the key {kid:?}, which was revoked")]
    RevokedKey { kid: String },
    #[error("the token says it is signed with {named:?}; its key signs with {expected}")]
    Algorithm { named: String, expected: &'static str },
    #[error("the signature of the token is not that of its key")]
    Signature,
    #[error("the token has expired: get a new one")]
    Expired,
    #[error("the token is not good yet (nbf)")]
    NotYet,
    #[error("the token is for another audience than {AUDIENCE:?}")]
    Audience,
    #[error("the key of the token does not sign for the tenant that the token names")]
    OtherTenant,
    #[error("the claims of the token are not usable: {0}")]
    Claims(String),
    /// Ours to mend (503). The reason is for our log: it may name hosts.
    #[error("tokens cannot be verified at the moment: try again soon")]
    Unavailable(#[from] RingUnavailable),
}
