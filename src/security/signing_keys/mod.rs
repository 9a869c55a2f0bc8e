//! The keys that tokens are verified with, and which of them were revoked.
//!
//! They come from the configuration (secrets for HS256, sets of public keys) and from the table `convoke.signing_keys`
//! (secrets handed to a tenant's own servers). A key id names one key: the configuration's goes before the table's. A key has
//! one algorithm, which is its own and never the token's to choose. A key bound to a tenant signs for that tenant only.

pub mod jwks;
mod ring;
mod store;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jsonwebtoken::{Algorithm, DecodingKey};

use crate::config::{ConfigError, KeysConfig, MIN_SIGNING_SECRET_BYTES, settings};
use crate::ids::TenantId;

pub use jwks::BadJwks;
pub(super) use ring::{KeyLookup, KeyRings};
pub use ring::{KeyRing, REFRESH, RingUnavailable};
pub(super) use store::{CHANNEL, signing_bound};
pub use store::{CreatedKey, KeyStore, KeyStoreError, StoredKey};

/// A key that verifies tokens.
pub struct VerifyingKey {
    pub kid: Arc<str>,
    /// The only tenant it signs for; `None`: any.
    pub tenant: Option<TenantId>,
    pub algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl VerifyingKey {
    /// As the header of a token names it.
    pub fn algorithm_name(&self) -> &'static str {
        match self.algorithm {
            Algorithm::HS256 => "HS256",
            Algorithm::RS256 => "RS256",
            Algorithm::ES256 => "ES256",
            _ => "EdDSA",
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({}, {:?}, {:?})", self.kid, self.algorithm, self.tenant)
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSigningKeys {
    #[error("the signing key {kid} is shorter than {MIN_SIGNING_SECRET_BYTES} bytes")]
    Short { kid: String },
    #[error("two signing keys have the id {kid}")]
    Twice { kid: String },
    #[error("the JWK set {}is not usable: {problem}", of(.tenant))]
    Jwks { tenant: Option<TenantId>, problem: BadJwks },
}

impl BadSigningKeys {
    /// As a fault of the configuration.
    pub fn to_config_error(&self) -> ConfigError {
        let (setting, remedy) = match self {
            Self::Short { .. } => (&settings::SIGNING_KEYS, "make one with `openssl rand -hex 32`"),
            Self::Twice { .. } => {
                (&settings::SIGNING_KEYS, "give each key, here and in CONVOKE_JWKS, an id of its own")
            }
            Self::Jwks { .. } => (&settings::JWKS, "mend the set, or take the key out of it"),
        };
        ConfigError { setting: setting.name.into(), problem: self.to_string(), remedy: remedy.into() }
    }
}

fn of(tenant: &Option<TenantId>) -> String {
    tenant.as_ref().map(|tenant| format!("of tenant {tenant} ")).unwrap_or_default()
}

/// By key id.
pub type KeysById = HashMap<Arc<str>, Arc<VerifyingKey>>;

/// The keys of the configuration, or all of their errors.
pub fn configured(config: &KeysConfig) -> Result<KeysById, Vec<BadSigningKeys>> {
    let mut keys = KeysById::new();
    let mut problems = Vec::new();
    let mut add = |key: VerifyingKey, problems: &mut Vec<BadSigningKeys>| {
        if keys.contains_key(&key.kid) {
            problems.push(BadSigningKeys::Twice { kid: key.kid.to_string() });
        } else {
            keys.insert(key.kid.clone(), Arc::new(key));
        }
    };
    for key in &config.signing {
        if key.secret.len() < MIN_SIGNING_SECRET_BYTES {
            problems.push(BadSigningKeys::Short { kid: key.kid.clone() });
        } else {
            add(secret(&key.kid, key.tenant.clone(), &key.secret), &mut problems);
        }
    }
    for source in &config.jwks {
        match jwks::parse(&source.json) {
            Err(problem) => problems.push(BadSigningKeys::Jwks { tenant: source.tenant.clone(), problem }),
            Ok(found) => {
                for jwks::PublicKey { kid, algorithm, key } in found {
                    let tenant = source.tenant.clone();
                    add(VerifyingKey { kid: kid.into(), tenant, algorithm, key }, &mut problems);
                }
            }
        }
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

/// A shared secret for HS256.
fn secret(kid: &str, tenant: Option<TenantId>, secret: &[u8]) -> VerifyingKey {
    VerifyingKey { kid: kid.into(), tenant, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(secret) }
}

#[cfg(test)]
pub(super) mod test_keys;

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::test_keys::{ed_public, rsa_public, set};
    use super::*;
    use crate::config::{JwksSource, SigningKey};

    fn shared(kid: &str, length: usize) -> SigningKey {
        SigningKey { kid: kid.into(), tenant: None, secret: Zeroizing::new(vec![7; length]) }
    }

    fn public(keys: &[serde_json::Value]) -> JwksSource {
        JwksSource { tenant: Some(TenantId::new("acme").unwrap()), json: set(keys) }
    }

    #[test]
    fn secrets_and_sets_of_public_keys_stand_side_by_side() {
        let config =
            KeysConfig { signing: vec![shared("a", 32)], jwks: vec![public(&[ed_public()])], ..Default::default() };
        let keys = configured(&config).unwrap();
        assert_eq!(keys["a"].algorithm, Algorithm::HS256);
        assert_eq!(keys["a"].tenant, None);
        assert_eq!(keys["o"].tenant.as_ref().unwrap().as_str(), "acme");
    }

    #[test]
    fn all_that_is_wrong_with_the_keys_is_told_at_once() {
        let config = KeysConfig {
            signing: vec![shared("a", 31), shared("o", 32)],
            jwks: vec![public(&[ed_public(), rsa_public()]), public(&[])],
            ..Default::default()
        };
        let problems: Vec<String> = configured(&config).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 3);
        assert!(problems[0].contains("a is shorter than 32 bytes"), "{problems:?}");
        assert!(problems[1].contains("two signing keys have the id o"), "{problems:?}");
        assert!(problems[2].contains("of tenant acme"), "{problems:?}");
    }

    #[test]
    fn a_key_does_not_show_its_secret() {
        let key = secret("a", None, b"a secret of thirty-two characters");
        assert!(!format!("{key:?}").contains("thirty"));
    }
}
