//! Whose a new file is.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

/// Gives a file that was just made to the owner of its folder: what root makes with a subcommand,
/// `serve` has to read as its own user. Does nothing where that isn't allowed, or needed.
pub fn as_its_folder(file: &Path) {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let (Ok(made), Ok(folder)) =
        (std::fs::metadata(file), std::fs::metadata(folder.unwrap_or(Path::new("."))))
    else {
        return;
    };
    if made.uid() != folder.uid() {
        // Only root may; for anybody else the file is as it has to be.
        let _ = chown(file, Some(folder.uid()), Some(folder.gid()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_makes_is_its_folders_owners() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let is_root = std::fs::metadata(&file).unwrap().uid() == 0;
        if is_root {
            chown(folder.path(), Some(1234), Some(1235)).unwrap();
        }
        as_its_folder(&file);
        let (made, of) = (std::fs::metadata(&file).unwrap(), folder.path().metadata().unwrap());
        assert_eq!(made.uid(), of.uid());
        assert!(!is_root || made.gid() == 1235);
    }
}
