//! Keys and tokens against a real database.

mod commands;
mod erasure;
pub mod forgotten;
mod roles;
mod rotation;
mod sealing;
mod signing_keys;

use convoke::config::KeysConfig;
use convoke::database::pool::Pool;
use convoke::events::ids::{Identity, RoomId, TenantId};
use convoke::events::sealed::{Personal, PersonalFields};
use convoke::security::sealing::{MasterKeys, Place, Sealer};
use uuid::Uuid;
use zeroize::Zeroizing;

fn tenant(text: &str) -> TenantId {
    TenantId::new(text).unwrap()
}

fn person(tenant_text: &str, identity: &str) -> (TenantId, Identity) {
    (tenant(tenant_text), Identity::new(identity).unwrap())
}

fn named(identity: &str, name: &str) -> Personal {
    Personal {
        subject: Identity::new(identity).unwrap(),
        fields: PersonalFields { display_name: Some(name.into()), ..Default::default() },
    }
}

fn place(tenant: &TenantId) -> Place<'_> {
    Place { tenant, room: RoomId::from_uuid(Uuid::from_u128(1)), room_version: 7 }
}

/// Each master key's bytes are its id's first byte, over and over.
fn masters(ids: &[&str]) -> MasterKeys {
    MasterKeys::new(ids.iter().map(|id| (id.to_string(), Zeroizing::new([id.as_bytes()[0]; 32])))).unwrap()
}

/// As another process has it: nothing in its memory.
fn sealer(pool: &Pool) -> Sealer {
    Sealer::new(pool.clone(), masters(&["a"]))
}

fn keys_config(signing: Vec<convoke::config::SigningKey>) -> KeysConfig {
    let master = vec![convoke::config::MasterKey { id: "a".into(), key: [b'a'; 32] }];
    KeysConfig { signing, master, ..Default::default() }
}

async fn count(pool: &sqlx::PgPool, table: &str) -> i64 {
    let statement = format!("SELECT count(*) FROM convoke.{table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(pool).await.unwrap()
}
