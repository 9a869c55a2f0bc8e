//! The target of an export: standard output, or a file that appears only when it is complete.
//!
//! A file is written as `FILE.part` next to FILE, synced to disk and then renamed: at every moment FILE is unchanged or complete.
//! To continue a file, its content is copied first (for free on file systems that share blocks). The next export to the same file
//! takes over the `.part` of a killed process; a lock on it excludes concurrent exports. A target that is not a regular file (a
//! device, a pipe) is written directly.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use tokio_util::sync::CancellationToken;

use super::packing::{Packer, Packing};
use crate::cli::output::{self, OutputError};

/// Bytes copied between two looks at whether to stop.
const COPIED_AT_ONCE: u64 = 64 * 1024 * 1024;
/// Of files with personal fields in the clear: for their owner alone.
const PRIVATE: u32 = 0o600;

/// What to do with an existing file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// It must not be there.
    New,
    Overwrite,
    Append,
}

/// A place that nobody else writes to meanwhile.
pub struct ExportTarget {
    to: File,
    packing: Packing,
    /// `None`: written to as it is.
    part: Option<PartFile>,
    is_stdout: bool,
}

/// The file beside the target. Removed unless it was put in its place.
struct PartFile {
    path: PathBuf,
    target: PathBuf,
    how: WriteMode,
    remove: bool,
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if self.remove {
            // Nothing more can be done about one that cannot be removed: the next export takes it over.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl ExportTarget {
    pub fn stdout() -> anyhow::Result<Self> {
        let to = output::as_file().context("standard output")?;
        Ok(Self { to, packing: Packing::Plain, part: None, is_stdout: true })
    }

    /// `private`: nobody but the owner of a new file may read it.
    pub fn file(path: &Path, how: WriteMode, private: bool) -> anyhow::Result<Self> {
        let shown = path.display();
        let there = match fs::metadata(path) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| shown.to_string()),
        };
        let packing = Packing::by_name(path)?;
        if let Some(there) = &there {
            ensure!(!there.is_dir(), "{shown} is a directory: name a file in it");
            if !there.is_file() {
                ensure!(how != WriteMode::Append, "{shown} is no regular file: --append cannot find its end");
                let to = OpenOptions::new().write(true).open(path).with_context(|| shown.to_string())?;
                return Ok(Self { to, packing, part: None, is_stdout: false });
            }
            ensure!(
                how != WriteMode::New,
                "{shown} exists: --append continues after its last line, --force overwrites it"
            );
        }
        // Through a symbolic link: the link stays, what it names is replaced.
        let target = if there.is_some() { fs::canonicalize(path)? } else { path.to_owned() };
        let (to, part) = locked_part(target, how)?;
        if private {
            to.set_permissions(Permissions::from_mode(PRIVATE))?;
        } else if let Some(there) = there {
            to.set_permissions(there.permissions())?;
        }
        Ok(Self { to, packing, part: Some(part), is_stdout: false })
    }

    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// The file to continue, if any.
    pub fn existing(&self) -> Option<&Path> {
        let part = self.part.as_ref()?;
        (part.how == WriteMode::Append && part.target.exists()).then_some(&*part.target)
    }

    /// Takes over what the existing file holds. `false`: told to stop before its end.
    pub fn copy_existing(&mut self, stop: &CancellationToken) -> anyhow::Result<bool> {
        let Some(existing) = self.existing().map(Path::to_owned) else { return Ok(true) };
        let copied = File::open(&existing).and_then(|mut from| {
            while io::copy(&mut from.by_ref().take(COPIED_AT_ONCE), &mut self.to)? > 0 {
                if stop.is_cancelled() {
                    return Ok(false);
                }
            }
            Ok(true)
        });
        copied.map_err(|error| explained(error, &existing))
    }

    pub fn open(self) -> anyhow::Result<ExportOutput> {
        let packer = Packer::new(self.packing, self.to)?;
        Ok(ExportOutput { packer, part: self.part, is_stdout: self.is_stdout, empty: true })
    }
}

fn locked_part(target: PathBuf, how: WriteMode) -> anyhow::Result<(File, PartFile)> {
    let Some(name) = target.file_name() else { bail!("{}: name a file", target.display()) };
    let mut name = name.to_owned();
    name.push(".part");
    let path = target.with_file_name(name);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o666)
        .open(&path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let in_use = || format!("another export to {} is running: wait for it, or name another file", target.display());
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(in_use()),
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| path.display().to_string()),
    }
    // The previous holder of the lock may have just renamed its file.
    let same = fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|ours| there.ino() == ours.ino()));
    ensure!(same, in_use());
    let part = PartFile { path, target, how, remove: true };
    file.set_len(0)?;
    Ok((file, part))
}

/// Takes text; whole only after [`ExportOutput::keep`].
pub struct ExportOutput {
    packer: Packer<File>,
    part: Option<PartFile>,
    is_stdout: bool,
    /// Nothing was written to it.
    empty: bool,
}

impl ExportOutput {
    pub fn write_all(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.empty &= bytes.is_empty();
        self.packer.write_all(bytes).map_err(|error| match &self.part {
            Some(part) => explained(error, &part.target),
            None => unwritable(error, self.is_stdout),
        })
    }

    /// Ends the stream and puts the file in its place. Gives the size of the file.
    pub fn keep(self) -> anyhow::Result<Option<u64>> {
        let Self { packer, part, is_stdout, empty } = self;
        let Some(mut part) = part else {
            packer.finish().map_err(|error| unwritable(error, is_stdout))?;
            return Ok(None);
        };
        if empty
            && part.how == WriteMode::Append
            && let Ok(there) = fs::metadata(&part.target)
        {
            // Nothing to be added: not even the frame of a packed nothing, each time that it is asked for.
            return Ok(Some(there.len()));
        }
        let written = packer.finish().and_then(|file| {
            file.sync_all()?;
            Ok((file.metadata()?.len(), file))
        });
        // The lock on it lasts until it is in its place.
        let (size, _file) = written.map_err(|error| explained(error, &part.target))?;
        part.put_in_place()?;
        Ok(Some(size))
    }
}

impl PartFile {
    fn put_in_place(&mut self) -> anyhow::Result<()> {
        let renamed = match self.how {
            WriteMode::New => rename_new(&self.path, &self.target),
            WriteMode::Overwrite | WriteMode::Append => fs::rename(&self.path, &self.target),
        };
        // From here on the name may belong to another process's file.
        self.remove = false;
        renamed.with_context(|| {
            let (part, target) = (self.path.display(), self.target.display());
            format!("the export is complete in {part}, but could not be renamed to {target}")
        })?;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| folder.display().to_string())
    }
}

/// Renames where nobody made a file of that name meanwhile.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Not every file system can: there, looking first has to do.
        Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => fs::rename(from, to),
        Err(Errno::INVAL | Errno::NOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
        renamed => Ok(renamed?),
    }
}

/// Of what is written to as it is. Only standard output may be closed by its reader without being a failure.
fn unwritable(error: io::Error, is_stdout: bool) -> anyhow::Error {
    if is_stdout {
        return OutputError::of(error).into();
    }
    anyhow::Error::new(error).context("the output cannot be written")
}

fn explained(error: io::Error, target: &Path) -> anyhow::Error {
    let target = target.display();
    let full =
        matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge);
    let told = if full {
        format!(
            "there is no room for {target}, and nothing of this export was left there: make room, or name a file of the \
             ending .zst, and export again"
        )
    } else {
        format!("{target} cannot be written, and nothing of this export was left there")
    };
    anyhow::Error::new(error).context(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path, how: WriteMode, text: &str) -> anyhow::Result<()> {
        let mut target = ExportTarget::file(path, how, false)?;
        target.copy_existing(&CancellationToken::new())?;
        let mut output = target.open()?;
        output.write_all(text.as_bytes())?;
        output.keep().map(drop)
    }

    #[test]
    fn a_file_appears_once_it_is_whole_and_is_not_written_over_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut output = ExportTarget::file(&path, WriteMode::New, false).unwrap().open().unwrap();
        output.write_all(b"one\n").unwrap();
        assert!(!path.exists());
        let second = ExportTarget::file(&path, WriteMode::New, false).err().expect("the first one is still writing");
        assert!(second.to_string().contains("another export"), "{second}");
        output.keep().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        let again = written(&path, WriteMode::New, "two\n").unwrap_err().to_string();
        assert!(again.contains("--append") && again.contains("--force"), "{again}");
        written(&path, WriteMode::Append, "two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        written(&path, WriteMode::Overwrite, "three\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
        drop(ExportTarget::file(&path, WriteMode::Append, false).unwrap().open().unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "three\n", "what was given up left it as it was");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing lies beside it");
    }

    #[test]
    fn what_a_killed_export_left_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(folder.path().join("log.part"), "half a li").unwrap();
        written(&path, WriteMode::New, "one\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    }

    #[test]
    fn a_file_made_meanwhile_is_kept_and_so_is_the_export() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut output = ExportTarget::file(&path, WriteMode::New, false).unwrap().open().unwrap();
        output.write_all(b"ours\n").unwrap();
        fs::write(&path, "theirs\n").unwrap();
        let refused = output.keep().unwrap_err().to_string();
        assert!(refused.contains("log.part"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs\n");
        assert_eq!(fs::read_to_string(folder.path().join("log.part")).unwrap(), "ours\n");
    }

    #[test]
    fn a_link_stays_a_link_and_what_is_private_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("log"), folder.path().join("link"));
        fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        written(&link, WriteMode::Overwrite, "one\n").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        let private = folder.path().join("private");
        ExportTarget::file(&private, WriteMode::New, true).unwrap().open().unwrap().keep().unwrap();
        assert_eq!(fs::metadata(private).unwrap().permissions().mode() & 0o777, PRIVATE);
    }

    #[test]
    fn a_device_is_written_to_as_it_is() {
        let mut output = ExportTarget::file(Path::new("/dev/full"), WriteMode::New, false).unwrap().open().unwrap();
        output.write_all(b"one\n").unwrap();
        assert!(output.keep().is_err());
        assert!(ExportTarget::file(Path::new("/dev/null"), WriteMode::Append, false).is_err());
        assert!(ExportTarget::file(Path::new("/"), WriteMode::New, false).is_err());
    }
}
