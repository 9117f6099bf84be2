//! `[ledger]`: where tickets are recorded.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use super::error::{ConfigError, Reporter};
use super::file_path::FilePath;
use super::secret::SecretSource;

/// The section, as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) sqlite: Option<Spanned<FilePath>>,
    pub(super) postgres: Option<SecretSource>,
    pub(super) postgres_ca: Option<FilePath>,
}

/// Where tickets are recorded.
pub enum LedgerPlace {
    /// In a file of this process alone.
    Sqlite(PathBuf),
    /// In a database that several instances may share.
    Postgres {
        /// Its address, with its password.
        url: Zeroizing<String>,
        /// PEM file with the roots that its certificate is verified against; `None` for the
        /// system's.
        ca: Option<PathBuf>,
    },
}

impl Written {
    /// Checks it: relative paths start at `folder`, that of a SQLite file at `state_dir`. Reads the
    /// database's password.
    pub(super) fn check(
        self,
        report: &Reporter<'_>,
        folder: &Path,
        state_dir: &Path,
    ) -> Result<LedgerPlace, ConfigError> {
        match (self.postgres, self.sqlite) {
            (Some(_), Some(sqlite)) => Err(report.at(
                sqlite.span(),
                "[ledger] has both `sqlite` and `postgres`; keep one of the two",
            )),
            (Some(source), None) => {
                let url = source.read(folder).map_err(|error| {
                    let what = format!("`ledger.postgres`: {error}");
                    report.at_key(&["ledger", "postgres"], what).by(&error)
                })?;
                Ok(LedgerPlace::Postgres {
                    url,
                    ca: self.postgres_ca.map(|path| folder.join(path)),
                })
            }
            (None, sqlite) => Ok(LedgerPlace::Sqlite(match sqlite {
                Some(path) => state_dir.join(path.into_inner()),
                None => state_dir.join("ledger.db"),
            })),
        }
    }
}
