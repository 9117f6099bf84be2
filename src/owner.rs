//! Whose a new file is.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::Path;

/// Makes a folder that is for its owner only, with those above it; one that is there stays as it
/// is.
pub fn make_private_folder(path: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

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
    fn a_private_folder_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let private = folder.path().join("a/b");
        make_private_folder(&private).unwrap();
        assert_eq!(std::fs::metadata(&private).unwrap().mode() & 0o777, 0o700);
        make_private_folder(&private).unwrap();
    }

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
