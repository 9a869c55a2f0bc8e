//! Signing keys and revocations in the database (migration 0003).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::VerifyingKey;
use crate::database::pool::Pool;
use crate::events::time::Timestamp;
use crate::ids::TenantId;
use crate::security::random;
use crate::security::sealing::{KeyError, MasterKeys, cipher};

/// Where other processes are told that keys or revocations changed.
pub(in crate::security) const CHANNEL: &str = "convoke_signing_keys";

const MAX_KID: usize = 64;

/// A signing key as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct StoredKey {
    pub kid: String,
    /// With `created_at`: of a key in the table. Absent: only the revocation of another key is there.
    pub tenant: Option<TenantId>,
    pub created_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// A new key. Its secret is shown this once.
pub struct CreatedKey {
    pub kid: String,
    /// 43 characters, which sign as they are, not as what they decode to.
    pub secret: Zeroizing<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    #[error("the table of signing keys cannot be reached")]
    Unavailable(#[from] sqlx::Error),
    #[error("the id {kid} is or was another key's: choose another one")]
    Taken { kid: String },
    #[error("a key id is 1 to {MAX_KID} letters, digits, '-', '_' or '.', which {kid:?} is not")]
    BadKid { kid: String },
}

/// The tables `convoke.signing_keys` and `convoke.revoked_keys`.
#[derive(Clone)]
pub struct KeyStore {
    pool: Pool,
    masters: Arc<MasterKeys>,
}

/// A row of either table: one of `revoked_keys` has a kid only.
#[derive(sqlx::FromRow, PartialEq)]
pub(super) struct KeyRow {
    pub kid: String,
    pub tenant: Option<String>,
    pub master: Option<String>,
    pub wrapped: Option<Vec<u8>>,
}

#[derive(sqlx::FromRow)]
struct KeyListRow {
    kid: String,
    tenant: Option<String>,
    created_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl KeyStore {
    /// `pool` is of the role `convoke_system`.
    pub fn new(pool: Pool, masters: Arc<MasterKeys>) -> Self {
        Self { pool, masters }
    }

    /// A new key that signs for one tenant; without a `kid` it gets a random one.
    pub async fn create(
        &self,
        tenant: &TenantId,
        kid: Option<&str>,
        now: Timestamp,
    ) -> Result<CreatedKey, KeyStoreError> {
        let kid = match kid {
            Some(kid) => checked_kid(kid)?,
            None => URL_SAFE_NO_PAD.encode(random::bytes::<12>()),
        };
        let key = Zeroizing::new(random::bytes::<{ cipher::KEY }>());
        let (master, wrapping) = self.masters.newest();
        let mut wrapped = Vec::new();
        wrapping.seal_onto(&mut wrapped, &*key, &signing_bound(&kid, tenant.as_str()));
        let inserted: Option<(String,)> = sqlx::query_as(
            "INSERT INTO convoke.signing_keys (created_at, kid, tenant, master, wrapped)
             SELECT $1, $2, $3, $4, $5
             WHERE NOT EXISTS (SELECT FROM convoke.revoked_keys r WHERE r.kid = $2)
             ON CONFLICT (kid) DO NOTHING
             RETURNING pg_notify($6, '')::text",
        )
        .bind(now.utc())
        .bind(&kid)
        .bind(tenant.as_str())
        .bind(master)
        .bind(wrapped)
        .bind(CHANNEL)
        .fetch_optional(&self.pool)
        .await?;
        match inserted {
            Some(_) => Ok(CreatedKey { kid, secret: Zeroizing::new(URL_SAFE_NO_PAD.encode(*key)) }),
            None => Err(KeyStoreError::Taken { kid }),
        }
    }

    /// From now on nothing that this key signed is taken, wherever the key comes from, also if no such key is known here.
    /// False: it was revoked already. Seen by other processes as [`super::REFRESH`] says.
    pub async fn revoke(&self, kid: &str, now: Timestamp) -> Result<bool, KeyStoreError> {
        let revoked: Option<(String,)> = sqlx::query_as(
            "INSERT INTO convoke.revoked_keys (revoked_at, kid)
             VALUES ($1, $2)
             ON CONFLICT (kid) DO NOTHING
             RETURNING pg_notify($3, '')::text",
        )
        .bind(now.utc())
        .bind(kid)
        .bind(CHANNEL)
        .fetch_optional(&self.pool)
        .await?;
        Ok(revoked.is_some())
    }

    /// The keys of the table and all revocations, by kid.
    pub async fn list(&self) -> Result<Vec<StoredKey>, KeyStoreError> {
        let rows: Vec<KeyListRow> = sqlx::query_as(
            "SELECT
                coalesce(s.kid, r.kid) AS kid,
                s.tenant,
                s.created_at,
                r.revoked_at
             FROM convoke.signing_keys s
             FULL JOIN convoke.revoked_keys r ON r.kid = s.kid
             ORDER BY 1",
        )
        .fetch_all(&self.pool)
        .await?;
        let stored = |row: KeyListRow| StoredKey {
            kid: row.kid,
            tenant: row.tenant.and_then(|tenant| TenantId::new(&tenant).ok()),
            created_at: row.created_at.and_then(Timestamp::new),
            revoked_at: row.revoked_at.and_then(Timestamp::new),
        };
        Ok(rows.into_iter().map(stored).collect())
    }

    pub(super) async fn rows(&self) -> Result<Vec<KeyRow>, sqlx::Error> {
        sqlx::query_as(
            "SELECT
                kid,
                tenant,
                master,
                wrapped
             FROM convoke.signing_keys
             UNION ALL
             SELECT
                kid,
                NULL,
                NULL,
                NULL
             FROM convoke.revoked_keys
             ORDER BY 1, 2",
        )
        .fetch_all(&self.pool)
        .await
    }

    pub(super) fn unwrap(&self, row: &KeyRow) -> Result<Option<VerifyingKey>, KeyError> {
        let (Some(tenant), Some(master), Some(wrapped)) = (&row.tenant, &row.master, &row.wrapped) else {
            return Ok(None);
        };
        let damaged = || KeyError::DamagedSigningKey { kid: row.kid.clone(), master: master.clone() };
        let bound = signing_bound(&row.kid, tenant);
        let key = self.masters.get(master)?.open(wrapped, &bound).ok_or_else(damaged)?;
        let tenant = TenantId::new(tenant).map_err(|_| damaged())?;
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.encode(key.as_slice()));
        Ok(Some(super::secret(&row.kid, Some(tenant), secret.as_bytes())))
    }
}

fn checked_kid(kid: &str) -> Result<String, KeyStoreError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let good = (1..=MAX_KID).contains(&kid.len()) && kid.bytes().all(plain);
    if good { Ok(kid.to_owned()) } else { Err(KeyStoreError::BadKid { kid: kid.to_owned() }) }
}

/// What the wrapping of a signing key is bound to.
pub(in crate::security) fn signing_bound(kid: &str, tenant: &str) -> Vec<u8> {
    cipher::bound("convoke signing key 1", &[kid.as_bytes(), tenant.as_bytes()])
}
