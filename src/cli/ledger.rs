//! `farebox ledger`: copies the ledger, and says what was put back or begun anew on purpose.

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;

use crate::app::{client_tls, master_secret};
use crate::config::{LedgerConfig, LedgerPlace};
use crate::ledger::id::LedgerId;
use crate::ledger::postgres::Admin;
use crate::ledger::sqlite;

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

pub(super) async fn run(path: &Path, command: LedgerCommand) -> Result<ExitCode, String> {
    let config = LedgerConfig::read(path).map_err(|error| error.to_string())?;
    let tickets = config.tickets.clone();
    let place = config.place().map_err(|error| error.to_string())?;
    match command {
        LedgerCommand::Backup { file } => back_up(&place, &file)?,
        LedgerCommand::Restored => {
            let (id, parked) = restored(&place).await?;
            println!("the ledger {id} goes on from this copy, in a new life.");
            println!("parked: {parked} ticket(s) that could be handed in again or were under way.");
            println!(
                "Also parked when they come in: tickets sold before now that it doesn't hold;"
            );
            println!("counted passes sold before now are held (503). Once you know that nothing");
            println!(
                "was sent with them since the copy: farebox tickets release --minted-before \
                      TIME"
            );
            println!("Lost are revocations made since the copy: revoke those tickets again.");
        }
        LedgerCommand::New => {
            let id = make(&place).await?;
            let is_named = master_secret::name_ledger(&tickets, id).map_err(|error| {
                format!(
                    "{error}. The empty ledger was made all the same: write `# ledger {id}` into \
                     the master secret's file yourself, in place of the line that is there"
                )
            })?;
            println!("made the empty ledger {id}.");
            if is_named {
                println!("The master secret names it from now on.");
            }
            println!("Tickets that another ledger sold under this secret are parked when they");
            println!("come in, since nobody knows whether they were used.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn back_up(place: &LedgerPlace, file: &Path) -> Result<(), String> {
    let LedgerPlace::Sqlite(path) = place else {
        return Err("`ledger backup` is for the SQLite ledger; this one lies in PostgreSQL: copy \
                    it with `pg_dump --schema=farebox`"
            .to_owned());
    };
    sqlite::back_up(path, file).map_err(|error| format!("ledger: {error}"))?;
    println!("copied to {}. Keep it with the master secret.", file.display());
    println!("To put it back: stop Farebox, put it in the ledger's place, and run `farebox ledger");
    println!("restored` before you start it again.");
    Ok(())
}

async fn restored(place: &LedgerPlace) -> Result<(LedgerId, u64), String> {
    match place {
        LedgerPlace::Sqlite(path) => {
            let restored = sqlite::restored(path);
            let restored = restored.map_err(|error| format!("ledger: {error}"))?;
            Ok((restored.id, restored.parked))
        }
        LedgerPlace::Postgres { .. } => {
            let mut admin = admin(place).await?;
            admin.restored().await.map_err(|why| format!("ledger: {why}"))
        }
    }
}

async fn make(place: &LedgerPlace) -> Result<LedgerId, String> {
    match place {
        LedgerPlace::Sqlite(path) => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(|error| {
                    format!("`state_dir`: {} can't be made: {error}", folder.display())
                })?;
            }
            sqlite::make(path).map_err(|error| format!("ledger: {error}"))
        }
        LedgerPlace::Postgres { .. } => {
            let mut admin = admin(place).await?;
            admin.make().await.map_err(|why| format!("ledger: {why}"))
        }
    }
}

async fn admin(place: &LedgerPlace) -> Result<Admin, String> {
    let LedgerPlace::Postgres { url, ca } = place else {
        return Err("this ledger is a file".to_owned());
    };
    let tls =
        client_tls::client_config("ledger.postgres_ca", ca.as_deref(), &client_tls::provider()?)?;
    Admin::connect(url, &tls).await.map_err(|why| format!("ledger: {why}"))
}
