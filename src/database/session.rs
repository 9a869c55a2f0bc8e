//! The first statements of a session: its role, and settings of the planner.
//!
//! The plan of a frequent statement must not depend on statistics, nor on the time of its preparation. PostgreSQL may keep a plan
//! from a time when a partition was empty and not analysed: a full scan and a sort, which look cheap then and become slow as the
//! table grows. So sessions that look up rows by key make the planner use indexes in their order. Nothing depends on the
//! configuration of the server; see `docs/database-settings.md`.

use std::time::Duration;

use super::timeout::NOTICE_A_LOST_CLIENT;

/// How PostgreSQL plans the statements of a session. Each of these may be set by every role.
type PlannerSettings = &'static [(&'static str, &'static str)];

/// For statements that find rows by keys, few or many, and are planned once for tables of any size.
const LOOKUPS: PlannerSettings = &[
    // Planning anew for each value costs more than most of the statements; partitions are pruned when a plan starts.
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // A sort reads everything that it sorts, and a limit comes too late. Where no index has the order it is done all the same.
    ("enable_sort", "off"),
    // Helpers cost more to start than a look-up takes.
    ("max_parallel_workers_per_gather", "0"),
];

/// For statements that read tables from end to end in the order of an index, a partition at a time.
const BULK: PlannerSettings =
    &[("enable_seqscan", "off"), ("enable_sort", "off"), ("max_parallel_workers_per_gather", "0")];

/// How much of a session a setting is for.
#[derive(Clone, Copy)]
enum SettingScope {
    Session,
    Transaction,
}

/// PostgreSQL compiles statements whose cost is high, and the costs of plans that are only to be avoided are enormous: a fifth of a
/// second for what takes a tenth of a millisecond. Statements here are short, or read in bulk through one index, which gains
/// nothing from it.
const NO_COMPILATION: &str = "jit = off";

/// One statement for all settings: each by itself would be parsed and planned by itself.
fn set(settings: PlannerSettings, scope: SettingScope) -> String {
    let local = matches!(scope, SettingScope::Transaction);
    let calls: Vec<String> =
        settings.iter().map(|(name, value)| format!("set_config('{name}', '{value}', {local})")).collect();
    format!("SELECT {}", calls.join(", "))
}

/// What is answered is durable, whatever the server was told to do for others.
fn durable(scope: SettingScope) -> String {
    let local = matches!(scope, SettingScope::Transaction);
    format!(
        "SELECT set_config('synchronous_commit', 'on', {local}) WHERE current_setting('synchronous_commit') = 'off'"
    )
}

/// Time limits of a database or a role that were meant for others: a command waits for the log's one lock, a connection of a
/// pool rests, a rebuild is one long transaction (a limit that PostgreSQL knows from 17 on).
const NO_OTHER_LIMITS: &str = "SET lock_timeout = 0; SET idle_session_timeout = 0;
    SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('transaction_timeout', true) IS NOT NULL";

/// For the pools of the running program: `convoke_system` reads all tenants and may append, and can change neither the log nor
/// the schema. An append that waited for the head's lock has to see what was committed meanwhile, hence the isolation.
pub fn of_pool(statement_timeout: Duration) -> String {
    format!(
        "SET {NO_COMPILATION}; SET ROLE convoke_system; SET statement_timeout = {}; SET default_transaction_isolation = 'read committed';
         {NOTICE_A_LOST_CLIENT}; {NO_OTHER_LIMITS}; {}; {}",
        statement_timeout.as_millis(),
        set(LOOKUPS, SettingScope::Session),
        durable(SettingScope::Session),
    )
}

/// The same for one transaction, where the next one may be another client's.
pub fn of_transaction(statement_timeout: Duration) -> String {
    format!(
        "SET LOCAL {NO_COMPILATION}; SET LOCAL ROLE convoke_system; SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = 0;
         SET LOCAL idle_in_transaction_session_timeout = '60s'; {}; {}",
        statement_timeout.as_millis(),
        set(LOOKUPS, SettingScope::Transaction),
        durable(SettingScope::Transaction),
    )
}

/// For the worker of a read model. It folds again what a crash of the server takes back.
pub fn of_worker(statement_timeout: Duration) -> String {
    format!(
        "SET {NO_COMPILATION}; SET ROLE convoke_system; SET synchronous_commit = off; SET statement_timeout = {};
         SET default_transaction_isolation = 'read committed'; {NOTICE_A_LOST_CLIENT}; {NO_OTHER_LIMITS};
         {}",
        statement_timeout.as_millis(),
        set(LOOKUPS, SettingScope::Session),
    )
}

/// For a rebuild: no time limit on statements. A client that is gone is noticed in the middle of a statement, too, since its
/// locks are wanted. Models build their indexes side by side, so that helpers for each would only meet on the same cores.
pub fn of_rebuild() -> String {
    format!(
        "SET {NO_COMPILATION}; SET ROLE convoke_system; SET statement_timeout = 0; SET client_connection_check_interval = '500ms';
         SET synchronous_commit = off; SET maintenance_work_mem = '256MB'; SET max_parallel_maintenance_workers = 0;
         {NO_OTHER_LIMITS}; {}",
        set(BULK, SettingScope::Session),
    )
}

/// For the connection that listens. It rests most of the time, so no limit on idle sessions may end it.
pub fn of_listener() -> String {
    format!("SET ROLE convoke_system; {NOTICE_A_LOST_CLIENT}; {NO_OTHER_LIMITS}")
}

/// For migrations and upkeep, with the rights of the database's owner and no time limit on statements; planned as PostgreSQL likes.
pub fn of_owner() -> String {
    // By default a user called `convoke` would find, and make, things without a schema's name in the schema `convoke`.
    // Notices ("already exists") are not logged.
    format!("SET {NO_COMPILATION}; SET search_path = public; SET client_min_messages = warning")
}
