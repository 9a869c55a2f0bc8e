//! History moved in: a sample of real activity, whole and broken, at once and interrupted.

mod encoded;
mod interrupted;
mod judged;
mod overlapping;

use std::path::Path;

use serde_json::Value;

use crate::harness::{Run, TestDb};

/// 316 commands of January 2012: chat rooms, calls, and what makes no sense in them.
pub const SAMPLE: &str = include_str!("../../data/commands-of-2012.ndjson");

pub fn import(db: &TestDb, file: &Path) -> Run {
    Run::on(db).args(["import", "--tenant", "acme", "--json"]).args([file])
}

/// The sample in so many sets of rooms, one after another.
pub fn many(sets: usize) -> String {
    let of = |set: usize| {
        let room = format!("\"room\":\"{set}/");
        SAMPLE.replace("\"room\":\"", &room).replace("{\"name\":\"", &format!("{{\"name\":\"{set}/"))
    };
    (0..sets).map(of).collect()
}

/// What the log says happened: all of every event that two imports of one source share. Texts are sealed anew each time.
pub async fn content(db: &TestDb) -> (i64, String) {
    sqlx::query_as(
        "SELECT
            count(*),
            coalesce(md5(string_agg(concat_ws('|', tenant, room, room_version, event_type, type_version, actor, session,
                command_id, position, recorded_at, occurred_at, data, sealed IS NULL), E'\\n'
                ORDER BY position)), '')
         FROM convoke.log",
    )
    .fetch_one(&db.system)
    .await
    .unwrap()
}

/// Lines by reason.
pub fn refused(report: &Value) -> Vec<(&str, u64)> {
    let reasons = report["refused"].as_object().unwrap().iter();
    reasons.map(|(reason, refused)| (reason.as_str(), refused["lines"].as_u64().unwrap())).collect()
}
