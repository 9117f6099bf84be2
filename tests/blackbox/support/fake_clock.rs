//! A gate by another clock than the machine's.

use std::path::PathBuf;

use super::world::Options;
use super::{World, install_if_missing, wait_until};

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// A gate whose wall clock goes by a file; its steady clock is the machine's.
pub struct Faked {
    pub world: World,
    offset: PathBuf,
    _folder: tempfile::TempDir,
}

impl Faked {
    pub fn new(offset: &str) -> Self {
        install_if_missing(FAKETIME, "faketime");
        let library = std::fs::canonicalize(FAKETIME).or_else(|_| {
            let arm = FAKETIME.replace("x86_64", "aarch64");
            std::fs::canonicalize(arm)
        });
        let library = library.expect("Debian's package faketime is needed");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("offset");
        std::fs::write(&file, format!("{offset}\n")).unwrap();
        let environment = vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let world = World::with(Options { environment, ..Options::default() });
        Self { world, offset: file, _folder: folder }
    }

    pub fn set(&self, offset: &str) {
        let beside = self.offset.with_extension("new");
        std::fs::write(&beside, format!("{offset}\n")).unwrap();
        std::fs::rename(beside, &self.offset).unwrap();
    }

    pub fn wait_until_clocks_are(&self, status: &str) {
        wait_until(&format!("clocks: {status}"), || {
            self.world.ready()["clocks"]["status"] == status
        });
    }
}
