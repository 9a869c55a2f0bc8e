//! `convoke token key list`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use crate::cli::context::CliContext;
use crate::cli::{output, table};
use crate::events::time::Timestamp;
use crate::ids::TenantId;
use crate::security::sealing::MasterKeys;
use crate::security::signing_keys::{self, KeyStore, StoredKey};
use crate::security::tokens::BadKeys;

/// List the keys that verify tokens, and revoked keys.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  convoke token key list --json")]
pub struct KeyListArgs {
    /// For a program: a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ListedKey {
    kid: String,
    /// The only tenant it signs for; null: any, or unknown for a revoked key that is in neither place.
    tenant: Option<TenantId>,
    algorithm: Option<&'static str>,
    /// `configuration`, `database`, or `unknown`.
    source: &'static str,
    created_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

impl KeyListArgs {
    pub async fn run(self, context: CliContext) -> anyhow::Result<ExitCode> {
        let keys = &context.config()?.keys;
        let masters = Arc::new(MasterKeys::configured(keys)?);
        let configured = signing_keys::configured(keys).map_err(BadKeys::Signing)?;
        let stored = context.with_database(async |pool| Ok(KeyStore::new(pool, masters.clone()).list().await?)).await?;
        let listed = merged(&configured, stored);
        if self.json {
            output::print_json(&listed)?;
        } else {
            output::print_line(as_table(&listed))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn merged(configured: &signing_keys::KeysById, stored: Vec<StoredKey>) -> Vec<ListedKey> {
    let mut listed: BTreeMap<String, ListedKey> = BTreeMap::new();
    for StoredKey { kid, tenant, created_at, revoked_at } in stored {
        let in_table = created_at.is_some();
        let (source, algorithm) = if in_table { ("database", Some("HS256")) } else { ("unknown", None) };
        listed.insert(kid.clone(), ListedKey { kid, tenant, algorithm, source, created_at, revoked_at });
    }
    for (kid, key) in configured {
        let revoked_at = listed.get(&**kid).and_then(|stored| stored.revoked_at);
        let (tenant, algorithm) = (key.tenant.clone(), Some(key.algorithm_name()));
        let key = ListedKey {
            kid: kid.to_string(),
            tenant,
            algorithm,
            source: "configuration",
            created_at: None,
            revoked_at,
        };
        listed.insert(kid.to_string(), key);
    }
    listed.into_values().collect()
}

fn as_table(listed: &[ListedKey]) -> comfy_table::Table {
    let mut table = table::table(&["key", "tenant", "algorithm", "from", "created", "revoked"], &[]);
    for key in listed {
        let time =
            |at: Option<Timestamp>| at.map_or_else(|| "-".into(), |at| at.utc().format("%Y-%m-%d %H:%M").to_string());
        table.add_row([
            key.kid.clone(),
            key.tenant.as_ref().map_or_else(|| "any".into(), ToString::to_string),
            key.algorithm.unwrap_or("-").into(),
            key.source.into(),
            time(key.created_at),
            time(key.revoked_at),
        ]);
    }
    table
}
