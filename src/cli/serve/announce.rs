//! What a server says on the output stream once it answers: where, and in development how to begin.

use std::net::{IpAddr, SocketAddr};

use crate::cli::output::{self, OutputError};
use crate::config::{Config, SigningKey};
use crate::events::time::Timestamp;
use crate::ids::TenantId;
use crate::security::grants::Grants;
use crate::security::tokens::{Claims, DEVELOPMENT_TENANT, NumericDate, mint};

/// How long a printed token is good.
const TOKEN_DAYS: i64 = 30;

/// The first line is for programs too: `listening on http://HOST:PORT`. A server whose output nobody reads serves all the same.
pub fn listening(config: &Config, address: SocketAddr, now: Timestamp) -> Result<(), OutputError> {
    let mut text = format!("listening on http://{address}\n");
    // Under a key that somebody gave, a token that may do everything does not belong into the output, and so into logs.
    if config.keys.signing_made_here
        && config.roles.api
        && let Some(key) = config.keys.signing.first()
    {
        text += &first_steps(key, reached_at(address), now);
    }
    output::print_text(&text)?;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");
    Ok(())
}

fn first_steps(key: &SigningKey, address: SocketAddr, now: Timestamp) -> String {
    let tenant = key.tenant.clone().or_else(|| TenantId::new(DEVELOPMENT_TENANT).ok());
    let claims = Claims {
        tenant: tenant.clone(),
        grants: Grants { operator: key.tenant.is_none(), ..Grants::everything() },
        exp: Some(NumericDate::at(now.plus_seconds(TOKEN_DAYS * 86_400))),
        ..Claims::default()
    };
    let token = mint(&key.kid, &key.secret, &claims);
    let tenant = tenant.as_ref().map(TenantId::as_str).unwrap_or_default();
    format!(
        "\nA token for development, valid for {TOKEN_DAYS} days, with all rights in tenant {tenant} and those of operators:\n\n  {token}\n\n\
         This creates a room:\n\n  \
         curl -sS http://{address}/v1/rooms -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \
         -d '{{\"name\":\"lobby\",\"if_exists\":\"return\"}}'\n\n"
    )
}

/// Listening everywhere is reached here.
fn reached_at(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}
