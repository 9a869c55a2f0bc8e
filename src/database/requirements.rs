//! The requirements on a PostgreSQL, checked at the start and by `convoke config check`. Settings that a session can make are in
//! [`super::session`]; these are the ones that only the operator of the server can make.

use sqlx::Row as _;

/// What is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortcoming {
    /// `fsync = off`: as the server has it.
    pub found: String,
    pub consequence: &'static str,
    /// The program does not start on such a server.
    pub fatal: bool,
}

/// A value of a server that is not good, and what comes of it.
struct Requirement {
    /// A name in `pg_settings`.
    setting: &'static str,
    bad: fn(&str) -> bool,
    consequence: &'static str,
    fatal: bool,
}

const REQUIREMENTS: &[Requirement] = &[
    Requirement {
        setting: "server_encoding",
        bad: |value| value != "UTF8",
        consequence: "names and messages that it cannot hold would be refused; use a database with ENCODING 'UTF8'",
        fatal: true,
    },
    Requirement {
        setting: "in_hot_standby",
        bad: |value| value == "on",
        consequence: "this is a replica, which takes no writes; DATABASE_URL has to lead to the primary",
        fatal: true,
    },
    Requirement {
        setting: "default_transaction_read_only",
        bad: |value| value == "on",
        consequence: "nothing can be written; set it off for this database or role",
        fatal: true,
    },
    Requirement {
        setting: "fsync",
        bad: |value| value == "off",
        consequence: "a machine that loses its power loses commands that were answered, and may damage the database",
        fatal: false,
    },
    Requirement {
        setting: "full_page_writes",
        bad: |value| value == "off",
        consequence: "a machine that loses its power may damage the database",
        fatal: false,
    },
    Requirement {
        setting: "autovacuum",
        bad: |value| value == "off",
        consequence: "rows that change with every command (where rooms and the log stand) bloat, and commands become slow",
        fatal: false,
    },
    Requirement {
        setting: "jit",
        bad: |value| value != "off",
        consequence: "the session has asked for it to be off and is not heard: statements are compiled, a fifth of a second each",
        fatal: false,
    },
    Requirement {
        setting: "enable_seqscan",
        bad: |value| value != "off",
        consequence: "the session has asked for it to be off and is not heard: at the start of a month, reads scan whole partitions",
        fatal: false,
    },
];

/// Connections beside those of the pools: read models, notifications, leases, migrations.
const BESIDE_POOLS: i64 = 20;

/// What a server falls short of, over a connection that has said what a session says first; `pooled`: connections that this
/// process may open.
pub async fn shortcomings(on: impl sqlx::PgExecutor<'_>, pooled: u32) -> sqlx::Result<Vec<Shortcoming>> {
    let rows = sqlx::query(
        "SELECT name, setting FROM pg_settings
         UNION ALL
         SELECT 'connections', (current_setting('max_connections')::bigint
             - current_setting('superuser_reserved_connections')::bigint)::text",
    )
    .fetch_all(on)
    .await?;
    let mut found = Vec::new();
    for row in rows {
        let (name, value): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let falls_short = |requirement: &&Requirement| requirement.setting == name && (requirement.bad)(value);
        if let Some(requirement) = REQUIREMENTS.iter().find(falls_short) {
            let Requirement { consequence, fatal, .. } = *requirement;
            found.push(Shortcoming { found: format!("{name} = {value}"), consequence, fatal });
        }
        let few = |connections: i64| connections < i64::from(pooled) + BESIDE_POOLS;
        if name == "connections" && value.parse().is_ok_and(few) {
            found.push(Shortcoming {
                found: format!("max_connections leaves {value}"),
                consequence: "fewer than this process may open; raise it, or lower CONVOKE_DATABASE_POOL_SIZE and \
                     CONVOKE_DATABASE_READ_POOL_SIZE",
                fatal: false,
            });
        }
    }
    Ok(found)
}
