//! Folders that vanish with the test.

use std::ops::Deref;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Removes the folder and what a link in it leads to, once our end of the pipe is closed and the private PostgreSQL in it,
/// if there is one, has ended.
const CLEAN: &str = r#"
read -r _
server="$0/.convoke/postgres"
[ -e "$server" ] || server="$0/postgres"
tries=0
while [ -e "$server/data/postmaster.pid" ] && [ $tries -lt 300 ]; do sleep 0.1; tries=$((tries + 1)); done
[ -L "$server" ] && rm -rf "$(readlink "$server")"
rm -rf "$0"
"#;

/// A folder of its own, which every user may enter. Dereferences to its path.
pub struct Folder {
    path: PathBuf,
    _cleaner: Child,
}

/// An empty folder.
pub fn folder() -> Folder {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("convoke-test-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut clean = Command::new("/bin/sh");
    clean.arg("-c").arg(CLEAN).arg(&path).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Folder { _cleaner: clean.spawn().unwrap(), path }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}
