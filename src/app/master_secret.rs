//! Loads the master secret, or makes it at the very first start; never a new one while tickets of
//! an old one are worth something.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::StartError;
use crate::config::TicketSettings;
use crate::config::secret::SecretSource;
use crate::keys::{Keys, MasterSecret};
use crate::ledger::id::LedgerId;
use crate::owner;

/// All secrets, the minting one first, and the ledgers that they were made for as far as their file
/// says so (`# ledger <id>`).
pub struct Loaded {
    /// The minting one first.
    pub secrets: Vec<MasterSecret>,
    /// The ledgers that it names.
    pub ledgers: Vec<LedgerId>,
}

/// Begins the remark by which a secret names its ledger.
const LEDGER_REMARK: &str = "# ledger ";

/// Loads them. Where the file is missing and nothing needs an old secret, one is made for the
/// ledger `make_for`, if that is given.
pub fn load(
    tickets: &TicketSettings,
    in_use: &[[u8; 16]],
    make_for: Option<LedgerId>,
) -> Result<Loaded, StartError> {
    if let SecretSource::File(path) = &tickets.master_secret {
        let path = tickets.state_dir.join(path);
        if let Some(ledger) = make_for
            && in_use.is_empty()
            && !path.exists()
        {
            make(&path, ledger).map_err(|error| cant_be_made(&path, &error))?;
        }
    }
    let loaded = read(tickets)?;
    let known = |fingerprint: &[u8; 16]| {
        loaded
            .secrets
            .iter()
            .any(|secret| Keys::derive(secret, "").fingerprint().as_bytes() == fingerprint)
    };
    let missing = in_use.iter().filter(|fingerprint| !known(fingerprint)).count();
    if missing > 0 {
        return Err(StartError::MasterSecret(format!(
            "{missing} secret(s) that tickets are still signed with are \
             missing. Paid tickets would be worthless, and refused numbers forgotten, so Farebox \
             does not start. Put the old secret back, as a further line below the new one."
        )));
    }
    Ok(loaded)
}

/// The ledgers that the secret names, before there is a ledger; none where there is no secret yet.
pub fn named_ledgers(tickets: &TicketSettings) -> Result<Vec<LedgerId>, StartError> {
    match &tickets.master_secret {
        SecretSource::File(path) if !tickets.state_dir.join(path).exists() => Ok(Vec::new()),
        _ => Ok(read(tickets)?.ledgers),
    }
}

/// Has the secret name a ledger that was made on purpose; without a secret, one is made. `false` if
/// it doesn't lie in a file, and so names none.
pub fn name_ledger(tickets: &TicketSettings, ledger: LedgerId) -> Result<bool, StartError> {
    let SecretSource::File(path) = &tickets.master_secret else { return Ok(false) };
    let path = tickets.state_dir.join(path);
    if !path.exists() {
        make(&path, ledger).map_err(|error| cant_be_made(&path, &error))?;
        return Ok(true);
    }
    let text = tickets.master_secret.read(&tickets.state_dir);
    let text = text.map_err(|what| StartError::MasterSecret(what.to_string()))?;
    let mut named = Zeroizing::new(format!("{LEDGER_REMARK}{ledger}\n"));
    for line in text.lines().filter(|line| !line.trim().starts_with(LEDGER_REMARK)) {
        named.push_str(line);
        named.push('\n');
    }
    let fault = |error: std::io::Error| {
        StartError::MasterSecret(format!("{} can't be written: {error}", path.display()))
    };
    let beside = write_beside(&path, &named).map_err(fault)?;
    fs::rename(&beside, &path).and_then(|()| sync(folder_of(&path))).map_err(fault)?;
    Ok(true)
}

fn cant_be_made(path: &Path, error: &std::io::Error) -> StartError {
    StartError::MasterSecret(format!("{} can't be made: {error}", path.display()))
}

fn read(tickets: &TicketSettings) -> Result<Loaded, StartError> {
    let text = tickets
        .master_secret
        .read(&tickets.state_dir)
        .map_err(|what| StartError::MasterSecret(what.to_string()))?;
    let mut loaded = Loaded { secrets: Vec::new(), ledgers: Vec::new() };
    for (number, line) in text.lines().map(str::trim).enumerate() {
        let fault = |what: &str| StartError::MasterSecret(format!("line {} {what}", number + 1));
        if let Some(id) = line.strip_prefix(LEDGER_REMARK) {
            let id = LedgerId::from_hex(id.trim());
            loaded
                .ledgers
                .push(id.ok_or_else(|| fault("names no ledger: an id has 16 hex digits"))?);
        } else if !line.is_empty() && !line.starts_with('#') {
            let secret = MasterSecret::from_hex(line);
            loaded.secrets.push(secret.ok_or_else(|| fault("is not 64 hex digits"))?);
        }
    }
    if loaded.secrets.is_empty() {
        return Err(no_secret());
    }
    Ok(loaded)
}

/// A master secret without a line.
pub fn no_secret() -> StartError {
    let what = "there is no secret in it; it should hold lines of 64 hex digits";
    StartError::MasterSecret(what.to_owned())
}

/// Written beside its place, synced, and only then given its name, which must not be taken.
fn make(path: &Path, ledger: LedgerId) -> std::io::Result<()> {
    owner::make_private_folder(folder_of(path))?;
    let mut secret = Zeroizing::new([0_u8; 32]);
    getrandom::fill(secret.as_mut_slice())
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let text =
        Zeroizing::new(format!("{LEDGER_REMARK}{ledger}\n{}\n", hex::encode(secret.as_slice())));
    let beside = write_beside(path, &text)?;
    let named = fs::hard_link(&beside, path);
    fs::remove_file(&beside)?;
    match named {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => sync(folder_of(path)),
    }
}

/// For its owner only.
fn write_beside(path: &Path, text: &str) -> std::io::Result<PathBuf> {
    let mut number = [0_u8; 8];
    getrandom::fill(&mut number).map_err(|error| std::io::Error::other(error.to_string()))?;
    // Never one that a crash has left, of whatever user: in a container all processes have one
    // number.
    let beside = path.with_extension(format!("new-{}", hex::encode(number)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    owner::as_its_folder(&beside);
    Ok(beside)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    fn tickets(folder: &Path) -> TicketSettings {
        TicketSettings {
            master_secret: SecretSource::File("master.secret".into()),
            state_dir: folder.to_owned(),
            lifetime: Duration::ZERO,
            replay: Duration::ZERO,
            wait: Duration::ZERO,
        }
    }

    const LEDGER: LedgerId = LedgerId::from_number(0x0102_0304_0506_0708);

    fn fingerprint(secret: &MasterSecret) -> [u8; 16] {
        *Keys::derive(secret, "regtest").fingerprint().as_bytes()
    }

    #[test]
    fn made_once_for_its_owner_only_and_the_same_ever_after() {
        let folder = tempfile::tempdir().unwrap();
        let first = load(&tickets(folder.path()), &[], Some(LEDGER)).unwrap();
        let path = folder.path().join("master.secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let second = load(&tickets(folder.path()), &[], Some(LEDGER)).unwrap();
        assert_eq!(fingerprint(&first.secrets[0]), fingerprint(&second.secrets[0]));
    }

    #[test]
    fn what_an_earlier_start_has_left_is_in_nobody_s_way() {
        let folder = tempfile::tempdir().unwrap();
        let leftover = folder.path().join(format!("master.new-{}", std::process::id()));
        fs::create_dir_all(leftover.join("full")).unwrap();
        assert!(load(&tickets(folder.path()), &[], Some(LEDGER)).is_ok());
    }

    #[test]
    fn never_a_new_one_while_tickets_of_an_old_one_live() {
        let folder = tempfile::tempdir().unwrap();
        let old = load(&tickets(folder.path()), &[], Some(LEDGER)).unwrap();
        let (path, in_use) = (folder.path().join("master.secret"), [fingerprint(&old.secrets[0])]);
        let old_line = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(load(&tickets(folder.path()), &in_use, Some(LEDGER)).is_err());
        assert!(!path.exists(), "none was made");
        let new_line = "ab".repeat(32);
        fs::write(&path, &new_line).unwrap();
        assert!(
            load(&tickets(folder.path()), &in_use, Some(LEDGER))
                .err()
                .unwrap()
                .to_string()
                .contains("still signed with")
        );
        fs::write(&path, format!("{new_line}\n{old_line}")).unwrap();
        assert_eq!(load(&tickets(folder.path()), &in_use, Some(LEDGER)).unwrap().secrets.len(), 2);
    }

    #[test]
    fn one_that_was_made_names_its_ledger_and_can_be_given_another() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(named_ledgers(&tickets(folder.path())).unwrap(), []);
        let first = load(&tickets(folder.path()), &[], Some(LEDGER)).unwrap();
        assert_eq!(first.ledgers, [LEDGER]);
        let text = fs::read_to_string(folder.path().join("master.secret")).unwrap();
        assert!(text.starts_with("# ledger 0102030405060708\n"), "{}", &text[..30]);
        let other = LedgerId::from_number(-5);
        assert!(name_ledger(&tickets(folder.path()), other).unwrap());
        let again = load(&tickets(folder.path()), &[], None).unwrap();
        assert_eq!((again.ledgers, again.secrets.len()), (vec![other], 1));
        assert_eq!(fingerprint(&again.secrets[0]), fingerprint(&first.secrets[0]));
        let path = folder.path().join("master.secret");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "# ledger zz\n").unwrap();
        assert!(
            load(&tickets(folder.path()), &[], None)
                .is_err_and(|said| said.to_string().contains("line 1"))
        );
    }

    #[test]
    fn what_is_no_secret_is_refused_without_showing_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("master.secret"), "deadbeef\n").unwrap();
        let said = load(&tickets(folder.path()), &[], Some(LEDGER)).err().unwrap().to_string();
        assert!(said.contains("line 1") && !said.contains("deadbeef"), "{said}");
    }
}
