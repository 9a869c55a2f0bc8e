//! The log's way to a real Apache Kafka: each event once, in order, whatever is killed when.

mod broken;
mod killed;
mod other_hands;
pub mod records;
mod rewound;
mod secured;
mod slowed;
mod stood_on;
mod topics;
mod whole_way;

use std::time::Duration;

use serde_json::Value;

use crate::harness::kafka::Broker;
use crate::harness::{Run, TestDb, eventually};
use crate::kills::load;

const PATIENCE: Duration = Duration::from_secs(60);

/// A process on the database that copies to the broker, or whatever roles it is given.
fn process(db: &TestDb, broker: &Broker, prefix: &str, roles: &str) -> Run {
    broker.under(load::signed(Run::on(db)), prefix).with("CONVOKE_ROLES", roles)
}

async fn audit(db: &TestDb, broker: &Broker, prefix: &str) -> Value {
    let ended = broker.under(Run::on(db), prefix).args(["kafka", "audit", "--json"]).run().await;
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {ended:?}"))
}

/// The topic has all of the log, and nothing is wrong with it.
pub async fn audited_clean(db: &TestDb, broker: &Broker, prefix: &str) -> Value {
    let relayed = format!(
        "SELECT h.position = r.position FROM convoke.log_head h, convoke.relays r WHERE r.topic = '{prefix}.events'"
    );
    eventually("the topic has all of the log", PATIENCE, async || {
        let all = sqlx::query_scalar(sqlx::AssertSqlSafe(relayed.clone())).fetch_optional(&db.system).await;
        all.ok().flatten().filter(|all: &bool| *all)
    })
    .await;
    let found = audit(db, broker, prefix).await;
    for count in ["missing", "doubled", "out_of_order", "different"] {
        assert_eq!(found[count], 0, "{found}");
    }
    assert_eq!((&found["from"], &found["through"]), (&Value::from(1), &found["head"]), "{found}");
    found
}

/// So many events more are in the log than now.
async fn grown(db: &TestDb, by: i64) {
    let head =
        async || sqlx::query_scalar::<_, i64>("SELECT position FROM convoke.log_head").fetch_one(&db.system).await.ok();
    let before = eventually("the database answers", PATIENCE, head).await;
    eventually("the log grows", PATIENCE, async || head().await.filter(|now| *now >= before + by)).await;
}
