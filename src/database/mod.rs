//! PostgreSQL: the embedded server, pools, migrations.

pub mod tenant;
