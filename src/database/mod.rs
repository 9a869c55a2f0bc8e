//! PostgreSQL: the embedded server, pools, migrations.
