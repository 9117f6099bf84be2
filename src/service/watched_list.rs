//! A list of the operator's in a file, which may change while it is used. A bad one changes
//! nothing.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tracing::{error, info};

use crate::file_watch::WatchedFile;
use crate::listed::Listed;

/// A list and its file.
pub struct WatchedList<T> {
    file: WatchedFile,
    list: ArcSwap<T>,
    trouble: Mutex<Option<String>>,
}

impl<T: Listed> WatchedList<T> {
    /// Reads it. `Err` is for people, and names the file.
    pub fn open(path: &Path) -> Result<Self, String> {
        let (file, text) =
            WatchedFile::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let list = read(path, &text)?;
        Ok(Self { file, list: ArcSwap::from_pointee(list), trouble: Mutex::default() })
    }

    /// What it says now.
    pub fn now(&self) -> Arc<T> {
        self.list.load_full()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Why a changed file isn't used, if it isn't.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whether it has changed, and takes it up if it can be read; whether it was.
    pub(super) fn look(&self, service: &str) -> bool {
        let Some(text) = self.file.look() else { return false };
        let path = self.path();
        let text = text.map_err(|error| format!("{}: {error}", path.display()));
        let trouble = match text.and_then(|text| read::<T>(path, &text)) {
            Ok(list) => {
                info!(service, entries = list.count(), "`{}` has changed", T::KEY);
                self.list.store(Arc::new(list));
                None
            }
            Err(why) => {
                error!(service, "`{}`: {why}; what it said before still holds", T::KEY);
                Some(why)
            }
        };
        let is_new = trouble.is_none();
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        is_new
    }
}

fn read<T: Listed>(path: &Path, text: &str) -> Result<T, String> {
    T::read(text).map_err(|fault| match fault.line {
        Some(line) => format!("{}:{line}: {fault}", path.display()),
        None => format!("{}: {fault}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::table::PriceTable;

    #[test]
    fn a_bad_list_changes_nothing_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.csv");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("prefix,price\n+49,20\n");
        let list = WatchedList::<PriceTable>::open(&path).unwrap();
        let price = || list.now().find("+491701234567").map(|row| row.price.to_string());
        let change = |text: &str| {
            write(text);
            list.look("sms");
            list.look("sms");
        };
        change("prefix,price\n+49,2x\n");
        assert_eq!(price().as_deref(), Some("20"));
        let trouble = list.trouble().unwrap();
        assert!(trouble.contains("prices.csv:2: `price` of +49"), "{trouble}");
        change("prefix,price\n+49,25\n");
        assert_eq!((price().as_deref(), list.trouble()), (Some("25"), None));
    }
}
