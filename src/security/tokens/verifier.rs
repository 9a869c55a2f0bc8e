//! Verifying tokens, each once: what was found holds until the token expires or any key changes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use moka::sync::Cache;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::claims::Claims;
use super::{MAX_BYTES, TokenError};
use crate::config::KeysConfig;
use crate::database::pool::Pool;
use crate::events::time::Timestamp;
use crate::json;
use crate::security::caller::Caller;
use crate::security::sealing::{BadMasterKeys, MasterKeys};
use crate::security::signing_keys::{
    self, BadSigningKeys, KeyLookup, KeyRing, KeyRings, KeyStore, RingUnavailable, VerifyingKey,
};

/// Tokens whose verification is remembered: about 10 MB when full.
const REMEMBERED: u64 = 20_000;

/// A token that was not shown for this long is forgotten.
const IDLE: Duration = Duration::from_secs(600);

/// Why the keys of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadKeys {
    #[error(transparent)]
    Master(#[from] BadMasterKeys),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Signing(Vec<BadSigningKeys>),
}

/// Verifies tokens. Cheap to clone; clones share what they know.
#[derive(Clone)]
pub struct TokenVerifier {
    rings: Arc<KeyRings>,
    known: Cache<[u8; 32], RememberedToken>,
}

#[derive(Clone)]
struct RememberedToken {
    caller: Arc<Caller>,
    expires_at: Timestamp,
    /// Of the ring it was verified with: with another one it is verified anew.
    generation: u64,
}

/// What was found of a token, for those who ask about the same one again and again.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedToken {
    expires_at: Timestamp,
    generation: u64,
}

impl TokenVerifier {
    /// `pool` is of the role `convoke_system`. Reads nothing yet.
    pub fn new(config: &KeysConfig, pool: Pool) -> Result<Self, BadKeys> {
        let configured = signing_keys::configured(config).map_err(BadKeys::Signing)?;
        let store = KeyStore::new(pool, Arc::new(MasterKeys::configured(config)?));
        let known = Cache::builder().max_capacity(REMEMBERED).time_to_idle(IDLE).build();
        Ok(Self { rings: Arc::new(KeyRings::new(configured, store)), known })
    }

    /// Who bears the token.
    pub async fn verify(&self, bearer: &str, now: Timestamp) -> Result<Arc<Caller>, TokenError> {
        if bearer.len() > MAX_BYTES {
            return Err(TokenError::TooLong);
        }
        let ring = self.rings.current().await?;
        let digest: [u8; 32] = Sha256::digest(bearer).into();
        if let Some(known) = self.known.get(&digest)
            && known.generation == ring.generation
        {
            return if now < known.expires_at { Ok(known.caller) } else { Err(TokenError::Expired) };
        }
        let (caller, expires_at) = check(bearer, &ring, now)?;
        let caller = Arc::new(caller);
        self.known.insert(digest, RememberedToken { caller: caller.clone(), expires_at, generation: ring.generation });
        Ok(caller)
    }

    /// Whether a token is still good. `found`: what was found when it was asked about last; nothing at first.
    pub async fn verify_again(
        &self,
        bearer: &str,
        found: &mut Option<VerifiedToken>,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        let generation = self.rings.current().await?.generation;
        if let Some(found) = found.filter(|found| found.generation == generation) {
            return if now < found.expires_at { Ok(()) } else { Err(TokenError::Expired) };
        }
        self.verify(bearer, now).await?;
        let digest: [u8; 32] = Sha256::digest(bearer).into();
        *found = self
            .known
            .get(&digest)
            .map(|RememberedToken { expires_at, generation, .. }| VerifiedToken { expires_at, generation });
        Ok(())
    }

    /// Reads keys and revocations now.
    pub async fn refresh(&self) -> Result<(), RingUnavailable> {
        self.rings.refresh().await.map(drop)
    }
}

#[derive(Deserialize)]
struct TokenHeader {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood (RFC 7515, 4.1.11): none is.
    crit: Option<serde_json::Value>,
}

/// The bearer of a token that is good now, and until when it is.
pub(super) fn check(token: &str, ring: &KeyRing, now: Timestamp) -> Result<(Caller, Timestamp), TokenError> {
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed("it has no dots"))?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed("it has one dot, not two"))?;
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| TokenError::Malformed("its header is not base64url"))?;
    let header = json::check(&header).ok().and_then(|text| json::read::<TokenHeader>(text).ok());
    let header = header.ok_or(TokenError::Malformed("its header is not a JSON object with an alg"))?;
    if header.crit.is_some() {
        return Err(TokenError::Malformed("it asks for extensions (crit), of which none is known here"));
    }
    let kid = header.kid.ok_or(TokenError::NoKid)?;
    let key = match ring.find(&kid) {
        KeyLookup::Key(key) => key,
        KeyLookup::Revoked => return Err(TokenError::RevokedKey { kid }),
        KeyLookup::Unknown => return Err(TokenError::UnknownKey { kid }),
    };
    let expected = key.algorithm_name();
    if header.alg != expected {
        return Err(TokenError::Algorithm { named: header.alg, expected });
    }
    verify_signature(message, signature, key)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| TokenError::Malformed("its claims are not base64url"))?;
    let claims = Claims::parse(&payload)?;
    let expires_at = claims.check_times(now)?;
    Ok((claims.caller(key)?, expires_at))
}

fn verify_signature(message: &str, signature: &str, key: &VerifyingKey) -> Result<(), TokenError> {
    match jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, key.algorithm) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(TokenError::Signature),
    }
}
