//! The keys of a development machine: generated once and kept in the data directory, readable by its owner only, so that tokens
//! and sealed fields survive a restart.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::{Config, Environment};

const FILE: &str = "development-keys.toml";

#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}; the development keys are kept there (CONVOKE_DATA_DIR says where)")]
pub struct DevelopmentKeysError {
    pub path: PathBuf,
    pub problem: String,
}

impl Config {
    /// In development, fills in the keys that the configuration does not give. Does nothing in production.
    pub fn provide_development_keys(&mut self) -> Result<(), DevelopmentKeysError> {
        let signing_missing = self.keys.signing.is_empty() && self.keys.jwks.is_empty();
        let complete = !signing_missing && !self.keys.master.is_empty();
        if self.environment == Environment::Production || complete {
            return Ok(());
        }
        let path = self.data_dir.join(FILE);
        let fail = |problem: String| DevelopmentKeysError { path: path.clone(), problem };
        make_unless_there(&self.data_dir, &path).map_err(|error| fail(error.to_string()))?;
        let environment = [("CONVOKE_CONFIG".to_owned(), path.display().to_string())].into();
        let kept = Config::from_environment(&environment).map_err(|errors| fail(errors.to_string()))?.keys;
        if signing_missing {
            self.keys.signing.clone_from(&kept.signing);
            self.keys.signing_made_here = true;
        }
        if self.keys.master.is_empty() {
            self.keys.master.clone_from(&kept.master);
        }
        Ok(())
    }
}

fn make_unless_there(folder: &Path, path: &Path) -> std::io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let signing = Zeroizing::new(random::<48>()?);
    let master = Zeroizing::new(random::<32>()?);
    let text = Zeroizing::new(format!(
        "# Keys of this machine, for development only. Deleting them makes what they sealed unreadable.\n\
         [keys]\nsigning = \"development:{}\"\nmaster = \"development:{}\"\n",
        URL_SAFE_NO_PAD.encode(*signing),
        STANDARD.encode(*master),
    ));
    // Written apart and then linked: of two processes that start at once, both read the keys of the one that came first.
    let draft = folder.join(format!("{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
