//! Finds the installed PostgreSQL: the newest, or the one that made the data.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::LaunchOptions;
use super::errors::EmbeddedError;

/// The oldest major version whose SQL the migrations and queries are written for.
pub const LEAST_MAJOR: u32 = 15;

/// Where packages of Linux distributions and macOS put them; `*` is a version.
const USUAL_PLACES: &[&str] = &[
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/lib/postgresql*/bin",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresBinaries {
    pub folder: PathBuf,
    pub major: u32,
}

impl PostgresBinaries {
    /// `data`: where the data is or will be.
    pub fn find(launch: &LaunchOptions, data: &Path) -> Result<Self, EmbeddedError> {
        let (folders, searched) = match &launch.postgres_bin {
            Some(folder) => (vec![folder.clone()], format!("CONVOKE_POSTGRES_BIN is {}", folder.display())),
            None => (candidates(&launch.program_folders), "searched: PATH and the usual places of packages".into()),
        };
        let mut found: Vec<_> = folders.iter().filter_map(|folder| Self::in_folder(folder)).collect();
        found.sort_by_key(|binaries| std::cmp::Reverse(binaries.major));
        let Some(made_by) = major_of_data(data) else {
            let newest = found.into_iter().next().filter(|newest| newest.major >= LEAST_MAJOR);
            return newest.ok_or(EmbeddedError::NoBinaries { least: LEAST_MAJOR, searched });
        };
        if found.is_empty() {
            return Err(EmbeddedError::NoBinaries { least: LEAST_MAJOR, searched });
        }
        let majors = found.iter().map(|binaries| binaries.major.to_string()).collect::<Vec<_>>().join(", ");
        found.into_iter().find(|binaries| binaries.major == made_by).ok_or_else(|| EmbeddedError::OtherVersion {
            data: data.into(),
            made_by,
            found: majors,
        })
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Whether this server knows a setting (`name=value`): some depend on how it was built.
    pub fn takes(&self, data: &Path, setting: &str) -> bool {
        let name = setting.split_once('=').map_or(setting, |(name, _)| name);
        let mut asking = Command::new(self.program("postgres"));
        // First, so that it is also answered to root.
        asking.arg("-C").arg(name).arg("-D").arg(data).arg("-c").arg(setting);
        asking.output().is_ok_and(|output| output.status.success())
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        // A client package alone has no initdb.
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
        let major = major_of_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder: std::fs::canonicalize(folder).ok()?, major })
    }
}

fn candidates(program_folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders = program_folders.to_vec();
    folders.extend(USUAL_PLACES.iter().flat_map(|pattern| matching(pattern)));
    folders
}

/// The folders that a pattern with one `*` in one of its parts stands for.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once('*') else { return vec![pattern.into()] };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.starts_with(prefix))
        .map(|name| Path::new(parent).join(name).join(after.trim_start_matches('/')))
        .collect()
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` is 15, `… 18beta1` is 18.
fn major_of_version(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL)")?.1.trim_start();
    let digits = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..digits].parse().ok()
}

fn major_of_data(data: &Path) -> Option<u32> {
    std::fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says_of_itself() {
        assert_eq!(major_of_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_of_version("something else 15"), None);
    }
}
