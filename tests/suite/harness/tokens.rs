//! Tokens that a server of a test takes.

use convoke::events::time::Clock;
use convoke::ids::{Identity, TenantId};
use convoke::security::grants::Grants;
use convoke::security::tokens::{Claims, NumericDate, mint};

use super::Run;

const KID: &str = "tests";
const SECRET: &str = "a-secret-of-the-tests-long-enough-for-HS256";
const LIFE_S: i64 = 3_600;

/// The run, with the key that signs [`of`].
pub fn accepted_by(run: Run) -> Run {
    run.with("CONVOKE_SIGNING_KEYS", &format!("{KID}:{SECRET}"))
}

/// A token of a person, or of a server where there is no identity.
pub fn of(tenant: &str, identity: Option<&str>, grants: Grants) -> String {
    let claims = Claims {
        sub: identity.map(|identity| Identity::new(identity).unwrap()),
        tenant: Some(TenantId::new(tenant).unwrap()),
        grants,
        exp: Some(NumericDate::at(Clock::system().now().plus_seconds(LIFE_S))),
        ..Claims::default()
    };
    mint(KID, SECRET.as_bytes(), &claims)
}
