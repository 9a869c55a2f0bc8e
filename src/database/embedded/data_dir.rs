//! The data directory of the private server, and the user it runs as.
//!
//! `<data dir>/postgres/` belongs to the server's user and is closed to others: anybody with access to the directory could read
//! the data anyway, so the socket in it asks for no password. PostgreSQL refuses to run as root and then runs as `postgres` or
//! `nobody`. If that user cannot reach the data directory (for example below `/root`), the server's directory is in `/var/lib`,
//! and `<data dir>/postgres` is a link to it.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;
use uuid::Uuid;

use super::errors::{EmbeddedError, at};

/// Longest path of a Unix socket, its end mark left out (Linux 107, macOS 103).
const MAX_SOCKET_PATH: usize = 103;
const SOCKET_NAME: &str = ".s.PGSQL.5432";
const OUT_OF_REACH: &str = "/var/lib/convoke";

/// Who the server runs as, where that is not who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerAccount {
    pub uid: u32,
    pub gid: u32,
}

#[derive(Clone, Debug)]
pub struct DataDir {
    pub root: PathBuf,
    pub account: Option<ServerAccount>,
}

impl DataDir {
    pub fn prepare(data_dir: &Path) -> Result<Self, EmbeddedError> {
        let own = geteuid().as_raw();
        let link = data_dir.join("postgres");
        if let Ok(root) = fs::canonicalize(&link) {
            let meta = fs::metadata(&root).map_err(at(&root))?;
            let account = match (own, meta.uid()) {
                (0, 0) => Some(unprivileged()?),
                (0, uid) => Some(ServerAccount { uid, gid: meta.gid() }),
                (own, owner) if own == owner => None,
                (own, owner) => return Err(EmbeddedError::OtherOwner { path: root, owner, own }),
            };
            return Self { root, account }.closed();
        }
        if own != 0 {
            fs::create_dir_all(&link).map_err(at(&link))?;
            return Self { root: fs::canonicalize(&link).map_err(at(&link))?, account: None }.closed();
        }
        let account = unprivileged()?;
        let here = fs::canonicalize(data_dir).map_err(at(data_dir))?;
        if reachable(&here, account) {
            let root = here.join("postgres");
            fs::create_dir_all(&root).map_err(at(&root))?;
            return Self { root, account: Some(account) }.closed();
        }
        let root = Path::new(OUT_OF_REACH).join(Uuid::new_v4().to_string());
        fs::create_dir_all(&root).map_err(at(&root))?;
        // A link that leads nowhere is left from a folder that was deleted.
        let _ = fs::remove_file(&link);
        symlink(&root, &link).map_err(at(&link))?;
        Self { root, account: Some(account) }.closed()
    }

    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// What the server says before its own log is open.
    pub fn start_log(&self) -> PathBuf {
        self.root.join("start.log")
    }

    /// The server's own log, a file for each day of the week.
    pub fn logs(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The folder of the socket: our own, or a short one where the path would be too long for a socket.
    pub fn socket_folder(&self) -> Result<PathBuf, EmbeddedError> {
        if self.root.as_os_str().len() + 1 + SOCKET_NAME.len() <= MAX_SOCKET_PATH {
            return Ok(self.root.clone());
        }
        // Named by the place's own inode, so that a second process finds the same one.
        let meta = fs::metadata(&self.root).map_err(at(&self.root))?;
        let short = PathBuf::from(format!("/tmp/convoke-{:x}-{:x}", meta.dev(), meta.ino()));
        match fs::create_dir(&short) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let owner = fs::symlink_metadata(&short).map_err(at(&short))?;
                let own = geteuid().as_raw();
                let ours = owner.is_dir() && [own, meta.uid()].contains(&owner.uid());
                if !ours {
                    return Err(EmbeddedError::OtherOwner { path: short, owner: owner.uid(), own });
                }
            }
            Err(error) => return Err(at(&short)(error)),
        }
        self.close(&short)?;
        Ok(short)
    }

    /// Removes the short folder of the socket, once the server has ended.
    pub fn leave_socket_folder(&self) {
        if let Ok(folder) = self.socket_folder()
            && folder != self.root
        {
            // What is left there is for the next start to take over.
            let _ = fs::remove_dir(folder);
        }
    }

    fn closed(self) -> Result<Self, EmbeddedError> {
        self.close(&self.root)?;
        Ok(self)
    }

    /// Gives a folder to the server's user, and to nobody else.
    pub fn close(&self, folder: &Path) -> Result<(), EmbeddedError> {
        fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(at(folder))?;
        if let Some(account) = self.account {
            chown(folder, Some(account.uid), Some(account.gid)).map_err(at(folder))?;
        }
        Ok(())
    }
}

/// Held for as long as this process owns the private server; let go by the system when the process dies.
#[derive(Debug)]
pub struct DataDirLock(#[expect(dead_code, reason = "holding the file is what it is for")] File);

impl DataDirLock {
    /// Makes the data directory where it is missing. `InUse` where another process holds it.
    pub fn take(data_dir: &Path) -> Result<Self, EmbeddedError> {
        if !data_dir.exists() {
            fs::create_dir_all(data_dir).map_err(at(data_dir))?;
            // The server's user must pass through it, and needs to see nothing.
            fs::set_permissions(data_dir, Permissions::from_mode(0o711)).map_err(at(data_dir))?;
        }
        let path = data_dir.join("lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0).and_then(|()| file.rewind()).map_err(at(&path))?;
                file.write_all(std::process::id().to_string().as_bytes()).map_err(at(&path))?;
                Ok(Self(file))
            }
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(at(&path))?;
                Err(EmbeddedError::InUse { dir: data_dir.into(), pid })
            }
            Err(TryLockError::Error(error)) => Err(at(&path)(error)),
        }
    }
}

/// The user of PostgreSQL's own package, or else nobody.
fn unprivileged() -> Result<ServerAccount, EmbeddedError> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let mut fields =
            passwd.lines().map(|line| line.split(':')).find(|fields| fields.clone().next() == Some(name))?;
        let uid = fields.nth(2)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (uid != 0).then_some(ServerAccount { uid, gid })
    };
    find("postgres").or_else(|| find("nobody")).ok_or(EmbeddedError::NoUser)
}

/// Whether a user may pass through all of a path's folders. Access lists are not looked at.
fn reachable(path: &Path, account: ServerAccount) -> bool {
    path.ancestors().all(|folder| {
        fs::metadata(folder).is_ok_and(|meta| {
            let bit = match () {
                () if meta.uid() == account.uid => 0o100,
                () if meta.gid() == account.gid => 0o010,
                () => 0o001,
            };
            meta.mode() & bit != 0
        })
    })
}
