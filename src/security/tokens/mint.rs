//! Making tokens.

use jsonwebtoken::{Algorithm, EncodingKey, Header};

use super::claims::Claims;

/// A token under a shared secret (HS256).
pub fn mint(kid: &str, secret: &[u8], claims: &Claims) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret))
        .expect("claims are always JSON, and a secret of any length signs")
}
