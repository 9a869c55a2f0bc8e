//! A copy of a running server's data, from which a replica begins.
//!
//! It is taken by SQL and by copying files, as PostgreSQL's manual describes under "Making a Base Backup Using the Low Level API", because
//! `pg_basebackup` serves no server that is newer than itself, and there may be none of the version that the tests run on.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::Path;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

/// Of the running server, not of its data.
const NOT_COPIED: &[&str] = &["postmaster.pid", "postmaster.opts", "pg_wal"];

/// Copies the data of a server, so that a server that is started on the copy streams on from the first. Asks as superuser.
pub async fn copy(from: &PgConnectOptions, to: &Path) {
    // A backup belongs to the session that began it.
    let mut session = from.connect().await.unwrap();
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut session).await.unwrap();
    let data = Path::new(&data);
    sqlx::query("SELECT pg_backup_start('a replica', fast => true)").execute(&mut session).await.unwrap();
    copy_folder(data, to, NOT_COPIED);
    let label: String =
        sqlx::query_scalar("SELECT labelfile FROM pg_backup_stop(false)").fetch_one(&mut session).await.unwrap();
    // Last, so that it has all that was written meanwhile.
    copy_folder(&data.join("pg_wal"), &to.join("pg_wal"), &[]);
    fs::write(to.join("backup_label"), label).unwrap();
    fs::write(to.join("standby.signal"), "").unwrap();
    let (socket, user) = (from.get_socket().unwrap().display(), from.get_username());
    let upstream = format!("primary_conninfo = 'host={socket} port=5432 user={user}'\n");
    fs::write(to.join("postgresql.auto.conf"), upstream).unwrap();
}

/// The server goes on writing: what goes away meanwhile is left out.
fn copy_folder(from: &Path, to: &Path, but_for: &[&str]) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, kind) = (entry.file_name(), entry.file_type().unwrap());
        let target = to.join(&name);
        if but_for.iter().any(|left_out| name == **left_out) {
            continue;
        }
        assert!(!kind.is_symlink(), "the server has no tablespace: {}", entry.path().display());
        if kind.is_dir() {
            copy_folder(&entry.path(), &target, &[]);
            continue;
        }
        match fs::copy(entry.path(), &target) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            copied => drop(copied.unwrap()),
        }
    }
}

/// Gives a folder and all that is in it to a user and a group.
pub fn give(path: &Path, user: u32, group: u32) {
    lchown(path, Some(user), Some(group)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user, group);
        }
    }
}
