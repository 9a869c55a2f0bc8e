//! New keys of persons, stored by the statement that appends the events sealed under them (`convoke.insert_person_keys`,
//! migration 0020). A unit that is not written stores no key.

use std::sync::LazyLock;

use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;
use uuid::Uuid;

use super::columns::APPEND;
use crate::ids::{Identity, TenantId};

/// A key that is to be stored if its unit is written.
#[derive(Clone, Debug)]
pub struct NewPersonKey {
    pub unit: u32,
    pub tenant: TenantId,
    pub identity: Identity,
    pub key_id: Uuid,
    /// Id of the master key that it is wrapped under.
    pub master: String,
    pub wrapped: Vec<u8>,
}

/// Raised where a person has another key than the one that was to be stored.
const ANOTHER_KEY: &str = "VK001";

/// The append, and then the keys of the units that it wrote: the list of those it left out is an argument, so that they follow in
/// this order.
static WITH_KEYS: LazyLock<String> = LazyLock::new(|| {
    // The parameters follow those of the append.
    let first = APPEND.matches('$').count() + 1;
    let parameters: Vec<String> = (first..first + 6).map(|number| format!("${number}")).collect();
    format!(
        "WITH appended AS MATERIALIZED ({APPEND}),
         stored AS MATERIALIZED (
            SELECT convoke.insert_person_keys({}, ARRAY(SELECT a.unit FROM appended a WHERE a.kind <> 'head')))
         SELECT appended.* FROM appended CROSS JOIN stored",
        parameters.join(", ")
    )
});

pub(super) fn statement(keys: &[NewPersonKey]) -> &'static str {
    if keys.is_empty() { APPEND } else { &WITH_KEYS }
}

/// One array for each column, behind the arguments of the append.
pub(super) fn arguments(keys: &[NewPersonKey], arguments: &mut PgArguments) -> sqlx::Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let units: Vec<i32> = keys.iter().map(|key| i32::try_from(key.unit).unwrap_or(i32::MAX)).collect();
    let tenants: Vec<&str> = keys.iter().map(|key| key.tenant.as_str()).collect();
    let identities: Vec<&str> = keys.iter().map(|key| key.identity.as_str()).collect();
    let ids: Vec<Uuid> = keys.iter().map(|key| key.key_id).collect();
    let masters: Vec<&str> = keys.iter().map(|key| key.master.as_str()).collect();
    let wrapped: Vec<&[u8]> = keys.iter().map(|key| key.wrapped.as_slice()).collect();
    arguments.add(units).map_err(sqlx::Error::Encode)?;
    arguments.add(tenants).map_err(sqlx::Error::Encode)?;
    arguments.add(identities).map_err(sqlx::Error::Encode)?;
    arguments.add(ids).map_err(sqlx::Error::Encode)?;
    arguments.add(masters).map_err(sqlx::Error::Encode)?;
    arguments.add(wrapped).map_err(sqlx::Error::Encode)
}

pub(super) fn is_another(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == ANOTHER_KEY)
}
