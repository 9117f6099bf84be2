//! `farebox ledger`: copies the ledger, and says what was put back or begun empty on purpose.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::app::error::StartError;
use crate::app::master_secret;
use crate::cli::print::say;
use crate::config::{LedgerConfig, LedgerPlace};
use crate::ledger::id::LedgerId;
use crate::ledger::postgres::Admin;
use crate::ledger::sqlite;
use crate::owner;
use crate::tls;

/// What is done with it.
#[derive(Subcommand)]
pub(super) enum LedgerCommand {
    /// Copy it into a new file, consistently and while `serve` runs.
    Backup {
        /// The file to make.
        file: std::path::PathBuf,
    },
    /// Say that a copy was put back in its place; `serve` must not run. Tickets of which nobody
    /// knows what happened since are parked.
    Restored,
    /// Begin an empty one on purpose, where there is none.
    New,
}

pub(super) async fn run(path: &Path, command: LedgerCommand) -> Result<ExitCode, Failure> {
    let config = LedgerConfig::read(path)?;
    let tickets = config.tickets.clone();
    let place = config.place()?;
    match command {
        LedgerCommand::Backup { file } => back_up(&place, &file)?,
        LedgerCommand::Restored => {
            let (id, parked) = restored(&place).await?;
            say!("the ledger {id} goes on from this copy, in a new life.");
            say!("parked: {parked} ticket(s) that could be handed in again or were under way.");
            say!("Also parked when they come in: tickets sold before now that it doesn't hold;");
            say!("counted passes sold before now are held (503). Once you know that nothing");
            say!(
                "was sent with them since the copy: farebox tickets release --minted-before \
                      TIME"
            );
            say!("Lost are revocations made since the copy: revoke those tickets again.");
        }
        LedgerCommand::New => {
            let id = make(&place).await?;
            let is_named = master_secret::name_ledger(&tickets, id).map_err(|error| {
                format!(
                    "{error}. The empty ledger was made all the same: write `# ledger {id}` into \
                     the master secret's file yourself, in place of the line that is there"
                )
            })?;
            say!("made the empty ledger {id}.");
            if is_named {
                say!("The master secret names it from now on.");
            }
            say!("Tickets that another ledger sold under this secret are parked when they");
            say!("come in, since nobody knows whether they were used.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn back_up(place: &LedgerPlace, file: &Path) -> Result<(), Failure> {
    let LedgerPlace::Sqlite(path) = place else {
        return Err("`ledger backup` is for the SQLite ledger; this one lies in PostgreSQL: copy \
                    it with `pg_dump --schema=farebox`"
            .into());
    };
    sqlite::back_up(path, file).map_err(StartError::from)?;
    say!("copied to {}. Keep it with the master secret.", file.display());
    say!("To put it back: stop Farebox, put it in the ledger's place, and run `farebox ledger");
    say!("restored` before you start it again.");
    Ok(())
}

async fn restored(place: &LedgerPlace) -> Result<(LedgerId, u64), StartError> {
    match place {
        LedgerPlace::Sqlite(path) => {
            let restored = sqlite::restored(path)?;
            Ok((restored.id, restored.parked))
        }
        LedgerPlace::Postgres { url, ca } => {
            Ok(admin(url, ca.as_deref()).await?.restored().await?)
        }
    }
}

async fn make(place: &LedgerPlace) -> Result<LedgerId, StartError> {
    match place {
        LedgerPlace::Sqlite(path) => {
            if let Some(folder) = path.parent() {
                owner::make_private_folder(folder)
                    .map_err(|source| StartError::StateDir { path: folder.to_owned(), source })?;
            }
            Ok(sqlite::make(path)?)
        }
        LedgerPlace::Postgres { url, ca } => Ok(admin(url, ca.as_deref()).await?.make().await?),
    }
}

async fn admin(url: &Zeroizing<String>, ca: Option<&Path>) -> Result<Admin, StartError> {
    let tls = tls::client_config("ledger.postgres_ca", ca, &tls::provider())?;
    Ok(Admin::connect(url, &Arc::new(tls)).await?)
}
