//! Keys and tokens against a real database.

mod commands;
mod erasure;
pub mod forgotten;
mod roles;
mod rotation;
mod sealing;
mod signing_keys;

use convoke::config::KeysConfig;
use convoke::database::notifications::Notifications;
use convoke::database::pool::Pool;
use convoke::events::sealed::{NewPersonal, PersonalFields};
use convoke::ids::{Identity, RoomId, TenantId};
use convoke::security::sealing::{MasterKeys, NoKey, PersonKeys, SealedPlace, Sealer};
use convoke::security::tokens::TokenVerifier;
use convoke::security::watch::KeyWatch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zeroize::Zeroizing;

fn tenant(text: &str) -> TenantId {
    TenantId::new(text).unwrap()
}

fn person(tenant_text: &str, identity: &str) -> (TenantId, Identity) {
    (tenant(tenant_text), Identity::new(identity).unwrap())
}

fn named(identity: &str, name: &str) -> NewPersonal {
    NewPersonal {
        subject: Identity::new(identity).unwrap(),
        fields: PersonalFields { display_name: Some(name.into()), ..Default::default() },
    }
}

fn place(tenant: &TenantId) -> SealedPlace<'_> {
    SealedPlace { tenant, room: RoomId::from_uuid(Uuid::from_u128(1)), room_version: 7 }
}

/// Each master key's bytes are its id's first byte, over and over.
fn masters(ids: &[&str]) -> MasterKeys {
    MasterKeys::new(ids.iter().map(|id| (id.to_string(), Zeroizing::new([id.as_bytes()[0]; 32])))).unwrap()
}

/// As another process has it: nothing in its memory.
fn sealer(pool: &Pool) -> Sealer {
    Sealer::new(pool.clone(), masters(&["a"]))
}

/// What a process does to learn of keys that other processes change, until told to stop.
async fn watch_keys(pool: Pool, sealer: Sealer, verifier: TokenVerifier, stop: CancellationToken) {
    let mut notifications = Notifications::new(&pool);
    let watch = KeyWatch::new(sealer, verifier, &mut notifications);
    tokio::join!(watch.run(stop.clone()), notifications.run(stop));
}

/// The keys of these persons, made and stored where there are none, as an append stores them.
async fn stored_keys(sealer: &Sealer, pool: &Pool, persons: &[(TenantId, Identity)]) -> PersonKeys {
    let mut keys = sealer.find_keys(persons).await.unwrap();
    let mut new = Vec::new();
    for (tenant, identity) in persons {
        let sealed = keys.seal(&place(tenant), &named(identity.as_str(), "x"));
        if let Err(NoKey { looked_up: true, .. }) = sealed {
            let key = sealer.new_key(tenant);
            keys.insert((tenant.clone(), identity.clone()), &key);
            keys.stored((tenant.clone(), identity.clone()));
            new.push((tenant.as_str(), identity.as_str(), key));
        }
    }
    sqlx::query("SELECT convoke.insert_person_keys($1, $2, $3, $4, $5, $6, '{}')")
        .bind(new.iter().map(|_| 0).collect::<Vec<i32>>())
        .bind(new.iter().map(|(tenant, ..)| *tenant).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, identity, _)| *identity).collect::<Vec<_>>())
        .bind(new.iter().map(|(.., key)| key.id()).collect::<Vec<_>>())
        .bind(new.iter().map(|(.., key)| key.master()).collect::<Vec<_>>())
        .bind(new.iter().map(|(.., key)| key.wrapped()).collect::<Vec<_>>())
        .execute(pool)
        .await
        .unwrap();
    keys
}

fn keys_config(signing: Vec<convoke::config::SigningKey>) -> KeysConfig {
    let master = vec![convoke::config::MasterKey { id: "a".into(), key: [b'a'; 32] }];
    KeysConfig { signing, master, ..Default::default() }
}

async fn count(pool: &sqlx::PgPool, table: &str) -> i64 {
    let statement = format!("SELECT count(*) FROM convoke.{table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(pool).await.unwrap()
}
