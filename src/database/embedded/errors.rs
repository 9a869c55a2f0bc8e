//! Why there is no private server, in words that say what to do.

use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    #[error(
        "no PostgreSQL {least} or newer was found ({searched}). Install one (Debian, Ubuntu: `apt-get install postgresql`), \
         or set CONVOKE_POSTGRES_BIN to the folder of its binaries, or DATABASE_URL to a server of yours"
    )]
    NoBinaries { least: u32, searched: String },
    #[error(
        "the data in {data} was written by PostgreSQL {made_by}, and only {found} was found. Install PostgreSQL {made_by} \
         beside it, or move the data with pg_upgrade"
    )]
    OtherVersion { data: PathBuf, made_by: u32, found: String },
    #[error(
        "{dir} is in use by another convoke, process {pid}. Stop it first, or set CONVOKE_DATA_DIR to another folder"
    )]
    InUse { dir: PathBuf, pid: String },
    #[error(
        "PostgreSQL does not run as root, and no user to run it as was found ('postgres' or 'nobody' in /etc/passwd). \
         Start convoke as an ordinary user, or set DATABASE_URL"
    )]
    NoUser,
    #[error(
        "{path} belongs to user {owner}, and this process runs as user {own}. Start it as that user, or set CONVOKE_DATA_DIR \
         to another folder"
    )]
    OtherOwner { path: PathBuf, owner: u32, own: u32 },
    #[error("{path}: {source}. CONVOKE_DATA_DIR must name a folder that this process may write to")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("{program} could not be run: {source}")]
    Spawn { program: PathBuf, source: std::io::Error },
    #[error("initdb could not make {data}: {output}")]
    Init { data: PathBuf, output: String },
    #[error("the private PostgreSQL did not start ({log} holds its words): {output}")]
    NotStarted { log: PathBuf, output: String },
    #[error("the private PostgreSQL does not accept connections ({log} holds its words): {source}")]
    NotReady { log: PathBuf, source: sqlx::Error },
}

pub(super) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> EmbeddedError + '_ {
    |source| EmbeddedError::Folder { path: path.into(), source }
}
