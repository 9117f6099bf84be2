//! Loads the master secret, or makes it at the very first start; never a new one while tickets of
//! an old one are worth something.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::config::Tickets;
use crate::config::secret::Source;
use crate::keys::{Keys, MasterSecret};

/// All secrets, the minting one first. With `may_make`, a missing file is made.
pub(super) fn load(
    tickets: &Tickets,
    in_use: &[[u8; 16]],
    may_make: bool,
) -> Result<Vec<MasterSecret>, String> {
    if let Source::File(path) = &tickets.master_secret {
        let path = tickets.state_dir.join(path);
        if may_make && in_use.is_empty() && !path.exists() {
            make(&path).map_err(|error| {
                format!("`tickets.master_secret`: {} can't be made: {error}", path.display())
            })?;
        }
    }
    let secrets = read(tickets)?;
    let known = |fingerprint: &[u8; 16]| {
        secrets
            .iter()
            .any(|secret| Keys::derive(secret, "").fingerprint().as_bytes() == fingerprint)
    };
    let missing = in_use.iter().filter(|fingerprint| !known(fingerprint)).count();
    if missing > 0 {
        return Err(format!(
            "`tickets.master_secret`: {missing} secret(s) that tickets are still signed with are \
             missing. Paid tickets would be \
             worthless, so Farebox does not start. Put the old secret back, as a further line \
             below the new one."
        ));
    }
    Ok(secrets)
}

fn read(tickets: &Tickets) -> Result<Vec<MasterSecret>, String> {
    let text = tickets
        .master_secret
        .read(&tickets.state_dir)
        .map_err(|what| format!("`tickets.master_secret`: {what}"))?;
    let mut secrets = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let secret = MasterSecret::from_hex(line.trim());
        secrets.push(secret.ok_or_else(|| {
            format!("`tickets.master_secret`: line {} is not 64 hex digits", number + 1)
        })?);
    }
    if secrets.is_empty() {
        return Err(
            "`tickets.master_secret`: there is no secret in it; it should hold lines of 64 \
                    hex digits"
                .to_owned(),
        );
    }
    Ok(secrets)
}

/// Written beside its place, synced, and only then given its name, which must not be taken.
fn make(path: &Path) -> std::io::Result<()> {
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut secret = zeroize::Zeroizing::new([0_u8; 32]);
    getrandom::fill(secret.as_mut_slice())
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(format!("{}\n", hex::encode(secret.as_slice())).as_bytes())?;
    file.sync_all()?;
    let named = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match named {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => File::open(folder)?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    fn tickets(folder: &Path) -> Tickets {
        Tickets {
            master_secret: Source::File("master.secret".into()),
            state_dir: folder.to_owned(),
            lifetime: Duration::ZERO,
            replay: Duration::ZERO,
            wait: Duration::ZERO,
        }
    }

    fn fingerprint(secret: &MasterSecret) -> [u8; 16] {
        *Keys::derive(secret, "regtest").fingerprint().as_bytes()
    }

    #[test]
    fn made_once_for_its_owner_only_and_the_same_ever_after() {
        let folder = tempfile::tempdir().unwrap();
        let first = load(&tickets(folder.path()), &[], true).unwrap();
        let path = folder.path().join("master.secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let second = load(&tickets(folder.path()), &[], true).unwrap();
        assert_eq!(fingerprint(&first[0]), fingerprint(&second[0]));
    }

    #[test]
    fn never_a_new_one_while_tickets_of_an_old_one_live() {
        let folder = tempfile::tempdir().unwrap();
        let old = load(&tickets(folder.path()), &[], true).unwrap();
        let (path, in_use) = (folder.path().join("master.secret"), [fingerprint(&old[0])]);
        let old_line = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(load(&tickets(folder.path()), &in_use, true).is_err());
        assert!(!path.exists(), "none was made");
        let new_line = "ab".repeat(32);
        fs::write(&path, &new_line).unwrap();
        assert!(
            load(&tickets(folder.path()), &in_use, true)
                .err()
                .unwrap()
                .contains("still signed with")
        );
        fs::write(&path, format!("{new_line}\n{old_line}")).unwrap();
        assert_eq!(load(&tickets(folder.path()), &in_use, true).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_secret_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("master.secret"), "deadbeef\n").unwrap();
        let said = load(&tickets(folder.path()), &[], true).err().unwrap();
        assert!(said.contains("line 1") && !said.contains("deadbeef"), "{said}");
    }
}
