//! What is kept over restarts: the account with the authority, and the certificate with its key.
//! Only the user that runs Farebox may read it.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use rustls::crypto::CryptoProvider;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::listen::tls::Certificate;
use crate::owner;

/// A folder of an authority's own, so that a certificate for trying things out is never shown in
/// place of a good one.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// Within `cache`, for the authority of a directory.
    pub(super) fn new(cache: &Path, directory: &str) -> Self {
        let mut name = hex::encode(Sha256::digest(directory.as_bytes()));
        name.truncate(16);
        Self { folder: cache.join(name) }
    }

    /// The certificate that was kept, if there is one. `Err` says what is wrong with it.
    pub(super) fn certificate(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Option<Certificate>, String> {
        let path = self.folder.join("certificate.pem");
        let Some(text) = read(&path)? else { return Ok(None) };
        let fault = |what| format!("{}: {what}", path.display());
        Certificate::of_pem(&text, &text, provider).map(Some).map_err(fault)
    }

    pub(super) fn keep_certificate(&self, chain_and_key: &str) -> Result<(), String> {
        self.write("certificate.pem", chain_and_key.as_bytes())
    }

    /// The account that was made, if there is one.
    pub(super) fn account(&self) -> Result<Option<AccountCredentials>, String> {
        let path = self.folder.join("account.json");
        let Some(text) = read(&path)? else { return Ok(None) };
        let account = serde_json::from_slice(&text);
        account.map(Some).map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(super) fn keep_account(&self, account: &AccountCredentials) -> Result<(), String> {
        let text = serde_json::to_vec(account).map_err(|error| error.to_string())?;
        self.write("account.json", &Zeroizing::new(text))
    }

    /// Whole or not at all.
    fn write(&self, name: &str, text: &[u8]) -> Result<(), String> {
        let path = self.folder.join(name);
        let fault = |error: io::Error| format!("{} can't be written: {error}", path.display());
        owner::make_private_folder(&self.folder).map_err(fault)?;
        let beside = self.folder.join(format!("{name}.new"));
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside);
        let written = file.as_mut().map_err(|error| io::Error::from(error.kind()));
        written
            .and_then(|file| file.write_all(text).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(fault)
    }
}

fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
    match fs::read(path) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} can't be read: {error}", path.display())),
    }
}
