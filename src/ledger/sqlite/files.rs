//! What a ledger needs of the file system.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::error::OpenError;
use crate::owner;

/// A file, whatever its name: another one of the same name is another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that lies there now.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// An advisory lock on a file beside the database, held for the life of the process; the system
/// drops it when the process dies.
pub(super) fn lock(ledger: &Path) -> Result<File, OpenError> {
    let mut name = ledger.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let in_file = |source| OpenError::File { path: path.clone(), source };
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(in_file)?;
    owner::as_its_folder(&path);
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(OpenError::InUse { ledger: ledger.to_owned(), lock: path })
        }
        Err(TryLockError::Error(source)) => Err(OpenError::File { path, source }),
    }
}

/// Makes an empty file that nobody else can read, where there is none.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().create_new(true).append(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(_) | Err(_) => {}
    }
    owner::as_its_folder(path);
    Ok(())
}

/// Makes the names of new files durable.
pub(super) fn sync_folder(file: &Path) -> Result<(), OpenError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| OpenError::File { path: folder.to_owned(), source })
}
