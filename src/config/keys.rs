//! Keys as they are written in the configuration. What they are used for is `security`'s.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, Zeroizing};

use super::reader::SettingsReader;
use super::settings;
use crate::ids::TenantId;

/// HS256 wants a key at least as long as its hash (RFC 7518, 3.2).
pub const MIN_SIGNING_SECRET_BYTES: usize = 32;
const MAX_KEY_ID_CHARS: usize = 64;

#[derive(Clone, Debug, Default)]
pub struct KeysConfig {
    /// The first one signs, all verify.
    pub signing: Vec<SigningKey>,
    /// `signing` was made on this machine, for development: it signs nowhere else.
    pub signing_made_here: bool,
    pub jwks: Vec<JwksSource>,
    /// Newest first: the first one wraps, all unwrap.
    pub master: Vec<MasterKey>,
}

/// A shared secret for HS256. With a tenant, it signs for that tenant only.
#[derive(Clone)]
pub struct SigningKey {
    pub kid: String,
    pub tenant: Option<TenantId>,
    pub secret: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, {:?}, secret)", self.kid, self.tenant)
    }
}

/// A JWK set, as JSON. With a tenant, its keys sign for that tenant only.
#[derive(Clone, Debug)]
pub struct JwksSource {
    pub tenant: Option<TenantId>,
    pub json: String,
}

/// Wraps the keys of persons.
#[derive(Clone)]
pub struct MasterKey {
    pub id: String,
    pub key: [u8; 32],
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, secret)", self.id)
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl KeysConfig {
    pub(super) fn read(reader: &mut SettingsReader<'_>) -> Self {
        Self {
            signing: read_signing(reader),
            signing_made_here: false,
            jwks: read_jwks(reader),
            master: read_master(reader),
        }
    }
}

fn read_signing(reader: &mut SettingsReader<'_>) -> Vec<SigningKey> {
    let text = Zeroizing::new(reader.text(&settings::SIGNING_KEYS).unwrap_or_default());
    let mut keys: Vec<SigningKey> = Vec::new();
    for (number, item) in items(&text) {
        match signing_key(item) {
            Ok(key) if keys.iter().any(|other| other.kid == key.kid) => {
                let problem = format!("key {number} has the id of an earlier one, {:?}", key.kid);
                reader.fault(&settings::SIGNING_KEYS, problem, "give each key an id of its own");
            }
            Ok(key) => keys.push(key),
            Err(problem) => reader.fault(
                &settings::SIGNING_KEYS,
                format!("key {number} {problem}"),
                "write ID:SECRET or ID@TENANT:SECRET; `openssl rand -hex 32` makes a secret",
            ),
        }
    }
    keys
}

fn signing_key(item: &str) -> Result<SigningKey, String> {
    let (name, secret) = item.split_once(':').ok_or("has no ':' between id and secret")?;
    let (kid, tenant) = match name.split_once('@') {
        Some((kid, tenant)) => (kid, Some(TenantId::new(tenant).map_err(|bad| format!("names no tenant: {bad}"))?)),
        None => (name, None),
    };
    if secret.len() < MIN_SIGNING_SECRET_BYTES {
        return Err(format!("has a secret shorter than {MIN_SIGNING_SECRET_BYTES} characters"));
    }
    Ok(SigningKey { kid: key_id(kid)?, tenant, secret: Zeroizing::new(secret.as_bytes().to_vec()) })
}

fn read_master(reader: &mut SettingsReader<'_>) -> Vec<MasterKey> {
    let text = Zeroizing::new(reader.text(&settings::MASTER_KEYS).unwrap_or_default());
    let mut keys: Vec<MasterKey> = Vec::new();
    for (number, item) in items(&text) {
        match master_key(item) {
            Ok(key) if keys.iter().any(|other| other.id == key.id) => {
                let problem = format!("key {number} has the id of an earlier one, {:?}", key.id);
                reader.fault(&settings::MASTER_KEYS, problem, "give each key an id of its own");
            }
            Ok(key) => keys.push(key),
            Err(problem) => reader.fault(
                &settings::MASTER_KEYS,
                format!("key {number} {problem}"),
                "write ID:BASE64; `openssl rand -base64 32` makes a key",
            ),
        }
    }
    keys
}

fn master_key(item: &str) -> Result<MasterKey, String> {
    let (id, key) = item.split_once(':').ok_or("has no ':' between id and key")?;
    let bytes = Zeroizing::new(STANDARD.decode(key.trim()).map_err(|_| "is not BASE64 after its ':'")?);
    let key = bytes.as_slice().try_into().map_err(|_| format!("has {} bytes, not 32", bytes.len()))?;
    Ok(MasterKey { id: key_id(id)?, key })
}

fn key_id(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let good = !text.is_empty() && text.len() <= MAX_KEY_ID_CHARS && text.chars().all(plain);
    if good {
        Ok(text.into())
    } else {
        Err(format!("has an id that is not 1 to {MAX_KEY_ID_CHARS} letters, digits, '-', '_' or '.'"))
    }
}

fn read_jwks(reader: &mut SettingsReader<'_>) -> Vec<JwksSource> {
    let Some(text) = reader.text(&settings::JWKS) else { return Vec::new() };
    match jwks_sources(&text) {
        Ok(sources) => sources,
        Err(problem) => {
            let remedy = r#"write {"keys":[…]}, or {"TENANT":{"keys":[…]},…}"#;
            reader.fault(&settings::JWKS, problem, remedy);
            Vec::new()
        }
    }
}

fn jwks_sources(text: &str) -> Result<Vec<JwksSource>, String> {
    let json: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| format!("is not a JSON object: {error}"))?;
    if json.get("keys").is_some_and(serde_json::Value::is_array) {
        return Ok(vec![JwksSource { tenant: None, json: text.into() }]);
    }
    json.into_iter()
        .map(|(tenant, set)| {
            if !set.get("keys").is_some_and(serde_json::Value::is_array) {
                return Err(format!("what stands under {tenant:?} is no JWK set"));
            }
            let tenant = TenantId::new(&tenant).map_err(|bad| format!("{tenant:?} is no tenant: {bad}"))?;
            Ok(JwksSource { tenant: Some(tenant), json: set.to_string() })
        })
        .collect()
}

/// The items of a list, numbered from 1 so that a fault can name one without showing it.
fn items(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let separated = text.split([',', '\n', '\r', ' ', '\t']);
    separated.map(str::trim).filter(|item| !item.is_empty()).zip(1..).map(|(item, number)| (number, item))
}
