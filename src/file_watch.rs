//! A file that may change while it is used. It is read again once it stands still, so that one that
//! is just being written isn't taken for whole.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often such a file is looked at: a change counts after two looks, and so within 10 s.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(3);

/// Longest file that is read, in bytes.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// By which it is seen that a file has changed.
type Stamp = (u64, u64, i64, i64);

/// A text file that is looked at again and again.
pub struct WatchedFile {
    path: PathBuf,
    looks: Mutex<Looks>,
}

/// `None` where there is no such file.
struct Looks {
    /// What was read.
    read: Option<Stamp>,
    /// What was seen at the last look.
    seen: Option<Stamp>,
    /// What could not be read, and was told of.
    told: Option<Option<Stamp>>,
}

impl WatchedFile {
    /// Reads it for the first time.
    pub fn open(path: &Path) -> io::Result<(Self, String)> {
        let (stamp, text) = read(path)?;
        let looks = Mutex::new(Looks { read: Some(stamp), seen: Some(stamp), told: None });
        Ok((Self { path: path.to_owned(), looks }, text))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at it; what it holds, or why that can't be read, if it has changed and stood still
    /// since the look before.
    pub fn look(&self) -> Option<io::Result<String>> {
        let now = std::fs::metadata(&self.path).ok().map(|found| stamp(&found));
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let stands_still = looks.seen == now;
        looks.seen = now;
        // What could not be read is read again, so that whoever was told hears that it can.
        if (looks.read == now && looks.told.is_none()) || !stands_still {
            return None;
        }
        match read(&self.path) {
            // It has changed meanwhile: the next look sees that.
            Ok((stamp, _)) if Some(stamp) != now => None,
            Ok((_, text)) => {
                (looks.read, looks.told) = (now, None);
                Some(Ok(text))
            }
            // It is tried again at each look, and said once.
            Err(error) => {
                let is_told = looks.told.replace(now) == Some(now);
                (!is_told).then_some(Err(error))
            }
        }
    }
}

fn stamp(found: &Metadata) -> Stamp {
    (found.ino(), found.len(), found.ctime(), found.ctime_nsec())
}

fn read(path: &Path) -> io::Result<(Stamp, String)> {
    let mut file = File::open(path)?;
    let before = stamp(&file.metadata()?);
    let mut text = String::new();
    (&mut file).take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {BYTES_MAX} bytes")));
    }
    let after = stamp(&file.metadata()?);
    // Then it isn't what was seen before: its number is none that a file has.
    Ok((if before == after { after } else { (0, 0, 0, 0) }, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_and_only_when_it_stands_still() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        assert!(WatchedFile::open(&path).is_err());
        std::fs::write(&path, "one").unwrap();
        let (file, text) = WatchedFile::open(&path).unwrap();
        assert_eq!(text, "one");
        assert!(file.look().is_none() && file.look().is_none());

        std::fs::write(&path, "two, hal").unwrap();
        assert!(file.look().is_none(), "it may still be written");
        std::fs::write(&path, "two, halves").unwrap();
        assert!(file.look().is_none(), "and was");
        assert_eq!(file.look().unwrap().unwrap(), "two, halves");
        assert!(file.look().is_none(), "once");

        std::fs::remove_file(&path).unwrap();
        assert!(file.look().is_none());
        assert!(file.look().unwrap().is_err(), "gone");
        assert!(file.look().is_none(), "once");
        std::fs::write(&path, "three").unwrap();
        assert!(file.look().is_none());
        assert_eq!(file.look().unwrap().unwrap(), "three");
        let away = folder.path().with_extension("away");
        std::fs::rename(folder.path(), &away).unwrap();
        assert!(file.look().is_none());
        assert!(file.look().unwrap().is_err(), "its folder is gone");
        std::fs::rename(&away, folder.path()).unwrap();
        assert!(file.look().is_none());
        assert_eq!(file.look().unwrap().unwrap(), "three", "the same, and it can be read");
        assert!(file.look().is_none(), "once");
        std::fs::write(&path, [0xff]).unwrap();
        assert!(file.look().is_none());
        assert!(file.look().unwrap().is_err(), "no text");
    }
}
