//! `convoke token create`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::context::CliContext;
use crate::cli::output;
use crate::config::{Config, Environment, SigningKey, duration, settings};
use crate::events::room::Role;
use crate::events::time::Clock;
use crate::ids::{Identity, TenantId};
use crate::security::grants::Grants;
use crate::security::tokens::{Claims, DEVELOPMENT_TENANT, MAX_LIFE_S, NumericDate, mint};

/// Create a token, signed with a key of the configuration (HS256).
///
/// Standard output gets the token alone. The token is valid for its holder until it expires, or until its key is revoked.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    convoke token create --identity alice --grant room_join --room standup --ttl 8h\n  \
    convoke token create --tenant acme --grant all --ttl 30d    # for a server: acts as its key")]
pub struct TokenCreateArgs {
    /// The tenant whose rooms it grants access to [default: the tenant of the key; in development, dev]
    #[arg(long)]
    tenant: Option<TenantId>,
    /// The person it names; without it, the holder acts as the key
    #[arg(long)]
    identity: Option<Identity>,
    /// A grant; may be repeated
    #[arg(long = "grant", value_name = "GRANT", required = true)]
    grants: Vec<GrantArg>,
    /// The only room it is valid for, by id or name [default: all rooms of the tenant]
    #[arg(long)]
    room: Option<String>,
    /// The highest role that a join may have: viewer, speaker, moderator or host [default: speaker; with all, host]
    #[arg(long, value_parser = role)]
    role: Option<Role>,
    /// Time until it expires, such as 15m, 8h, 30d; at most 366d
    #[arg(long, default_value = "1h", value_parser = life)]
    ttl: Duration,
    /// The id of the key that signs it [default: the first one that may sign for the tenant]
    #[arg(long, value_name = "KID")]
    key: Option<String>,
    /// For a program: one JSON object, with `token` and its claims
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum GrantArg {
    RoomJoin,
    RoomAdmin,
    RoomCreate,
    RoomList,
    RoomRecord,
    /// Read the state of the log and the read models; for a server, under a key for all tenants
    Operator,
    /// All of the tenant (all but operator), and the role host
    All,
}

fn role(text: &str) -> Result<Role, String> {
    serde_json::from_value(json!(text)).map_err(|_| "a role is viewer, speaker, moderator or host".into())
}

fn life(text: &str) -> Result<Duration, String> {
    let life = duration(text).ok_or("a time is a whole number and a unit, such as 15m, 8h or 30d")?;
    let whole = 1..=u64::try_from(MAX_LIFE_S).unwrap_or(0);
    if whole.contains(&life.as_secs()) { Ok(life) } else { Err("a token is valid for 1 second to 366 days".into()) }
}

impl TokenCreateArgs {
    pub fn run(self, context: &CliContext) -> anyhow::Result<ExitCode> {
        let config = context.config()?;
        let key = self.key(config)?;
        let tenant = self.tenant(config, key)?;
        let grants = self.grants();
        if self.identity.is_none() && grants.room_join && !grants.room_admin {
            bail!("room_join without room_admin is for a person: add --identity");
        }
        if grants.operator && self.identity.is_some() {
            bail!("operator is for a server: omit --identity");
        }
        if grants.operator
            && let Some(tenant) = &key.tenant
        {
            bail!("operator is about all tenants, and the key {} signs for {tenant} only", key.kid);
        }
        let now = Clock::system().now();
        let until = now.plus_seconds(i64::try_from(self.ttl.as_secs()).unwrap_or(MAX_LIFE_S));
        let claims = Claims {
            sub: self.identity.clone(),
            tenant: Some(tenant.clone()),
            grants: grants.clone(),
            exp: Some(NumericDate::at(until)),
            iat: Some(NumericDate::at(now)),
            ..Claims::default()
        };
        let token = mint(&key.kid, &key.secret, &claims);
        if self.json {
            output::print_json(&json!({
                "token": token, "tenant": tenant, "identity": self.identity, "grants": grants, "key": key.kid,
                "expires_at": until,
            }))?;
        } else {
            output::print_line(token)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn key<'a>(&self, config: &'a Config) -> anyhow::Result<&'a SigningKey> {
        let keys = &config.keys.signing;
        if let Some(kid) = &self.key {
            let found = keys.iter().find(|key| key.kid == *kid);
            return found.with_context(|| {
                format!(
                    "there is no signing key {kid} in the configuration ({}); a key made with `token key create` \
                    signs where its secret is",
                    settings::SIGNING_KEYS.name
                )
            });
        }
        let fits = |key: &&SigningKey| match (&self.tenant, &key.tenant) {
            (Some(wanted), Some(bound)) => wanted == bound,
            _ => true,
        };
        keys.iter().find(fits).with_context(|| {
            format!("no signing key of the configuration may sign for it: set {}", settings::SIGNING_KEYS.name)
        })
    }

    fn tenant(&self, config: &Config, key: &SigningKey) -> anyhow::Result<TenantId> {
        match (&self.tenant, &key.tenant) {
            (Some(wanted), Some(bound)) if wanted != bound => {
                bail!("the key {} signs for the tenant {bound} only", key.kid)
            }
            (Some(tenant), _) | (None, Some(tenant)) => Ok(tenant.clone()),
            (None, None) if config.environment == Environment::Development => Ok(TenantId::new(DEVELOPMENT_TENANT)?),
            (None, None) => bail!("--tenant is needed"),
        }
    }

    fn grants(&self) -> Grants {
        let has = |grant| self.grants.contains(&grant) || self.grants.contains(&GrantArg::All);
        let role = if self.grants.contains(&GrantArg::All) { Role::Host } else { Grants::default().role };
        Grants {
            room: self.room.clone(),
            room_join: has(GrantArg::RoomJoin),
            role: self.role.unwrap_or(role),
            room_admin: has(GrantArg::RoomAdmin),
            room_create: has(GrantArg::RoomCreate),
            room_list: has(GrantArg::RoomList),
            room_record: has(GrantArg::RoomRecord),
            operator: self.grants.contains(&GrantArg::Operator),
        }
    }
}
