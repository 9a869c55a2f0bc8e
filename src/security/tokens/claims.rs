//! What stands in a token, and who that makes its bearer.

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::TokenError;
use crate::events::time::Timestamp;
use crate::ids::{Actor, Identity, TenantId};
use crate::json;
use crate::json::object::object;
use crate::security::caller::Caller;
use crate::security::grants::Grants;
use crate::security::signing_keys::VerifyingKey;

/// The audience that a token may name; without an audience it is taken too.
pub const AUDIENCE: &str = "convoke";

/// How far a token may reach into the future, seconds: 366 days. Longer than that, a forgotten token is a standing danger.
pub const MAX_LIFE_S: i64 = 366 * 86_400;

/// How far the clock of who signs may be ahead of ours, seconds. For `nbf` only: what has expired has expired.
pub const LEEWAY_S: i64 = 30;

/// The claims of a token (RFC 7519). Others are ignored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The identity of the person who bears it; a server's token has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<Identity>,
    /// Whose rooms it is for. May be absent if its key signs for one tenant only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// What it allows; nothing if absent.
    #[serde(default, deserialize_with = "object")]
    pub grants: Grants,
    /// Until when it is good, seconds since 1970; required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<NumericDate>,
    /// From when on it is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// When it was made. Written for people and other programs, never read: whatever stands there is ignored.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub iat: Option<NumericDate>,
    /// For whom it is; must name [`AUDIENCE`] if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<TokenAudience>,
    /// Its id. Never read, as `iat`.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

/// One audience or many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TokenAudience {
    One(String),
    Many(Vec<String>),
}

impl TokenAudience {
    fn names_us(&self) -> bool {
        match self {
            TokenAudience::One(audience) => audience == AUDIENCE,
            TokenAudience::Many(audiences) => audiences.iter().any(|audience| audience == AUDIENCE),
        }
    }
}

/// Seconds since 1970, a JSON number that need not be whole (RFC 7519, 2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NumericDate(Number);

impl NumericDate {
    /// Whole seconds.
    pub fn at(time: Timestamp) -> Self {
        Self(time.unix_micros().div_euclid(1_000_000).into())
    }

    /// Microseconds since 1970; saturates.
    fn micros(&self) -> i64 {
        match self.0.as_i64() {
            Some(seconds) => seconds.saturating_mul(1_000_000),
            // The cast saturates, and no JSON number is "not a number".
            None => (self.0.as_f64().unwrap_or(f64::MAX) * 1e6) as i64,
        }
    }
}

fn unreadable(claim: &str, detail: &str) -> TokenError {
    let at = if claim.is_empty() { String::new() } else { format!(" at {claim}") };
    TokenError::Claims(format!("they cannot be read{at}: {detail}"))
}

impl Claims {
    pub(super) fn parse(json: &[u8]) -> Result<Self, TokenError> {
        let text = json::check(json).map_err(|bad| unreadable(&bad.field, &bad.detail))?;
        json::read(text).map_err(|fault| unreadable(&fault.field, &fault.detail))
    }

    /// When it ends.
    pub(super) fn check_times(&self, now: Timestamp) -> Result<Timestamp, TokenError> {
        let now_micros = now.unix_micros();
        let exp = self.exp.as_ref().ok_or_else(|| TokenError::Claims("exp is missing".to_owned()))?.micros();
        if exp <= now_micros {
            return Err(TokenError::Expired);
        }
        let too_far = || TokenError::Claims("exp is more than 366 days ahead".to_owned());
        if exp.saturating_sub(now_micros) > MAX_LIFE_S * 1_000_000 {
            return Err(too_far());
        }
        if let Some(nbf) = &self.nbf
            && nbf.micros() > now_micros.saturating_add(LEEWAY_S * 1_000_000)
        {
            return Err(TokenError::NotYet);
        }
        Timestamp::from_unix_micros(exp).ok_or_else(too_far)
    }

    /// Who bears it. `key` has verified it.
    pub(super) fn caller(self, key: &VerifyingKey) -> Result<Caller, TokenError> {
        if self.aud.as_ref().is_some_and(|audience| !audience.names_us()) {
            return Err(TokenError::Audience);
        }
        if self.grants.operator {
            operator(&self, key)?;
        }
        let tenant = match (self.tenant, &key.tenant) {
            (Some(claimed), Some(bound)) if claimed != *bound => return Err(TokenError::OtherTenant),
            (Some(tenant), _) => tenant,
            (None, Some(bound)) => bound.clone(),
            (None, None) => return Err(TokenError::Claims("tenant is missing".to_owned())),
        };
        let actor = match self.sub {
            Some(identity) => Actor::Person(identity),
            None if self.grants.room_join && !self.grants.room_admin => {
                let problem = "sub is missing: room_join without room_admin is for a person".to_owned();
                return Err(TokenError::Claims(problem));
            }
            None => Actor::Key(key.kid.clone()),
        };
        Ok(Caller { tenant, actor, grants: self.grants })
    }
}

/// What an operator sees is of all tenants: no tenant's own key gives it, and no person carries it about.
fn operator(claims: &Claims, key: &VerifyingKey) -> Result<(), TokenError> {
    if let Some(tenant) = &key.tenant {
        let problem =
            format!("the key signs for the tenant {tenant} only, and the grant operator is about all tenants");
        return Err(TokenError::Claims(problem));
    }
    if claims.sub.is_some() {
        return Err(TokenError::Claims("the grant operator is for a server's token, one without sub".to_owned()));
    }
    Ok(())
}
