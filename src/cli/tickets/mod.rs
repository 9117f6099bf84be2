//! `farebox tickets`: looks at tickets and says what became of them.

mod ask;
pub(super) mod export;
mod table;

use std::io::{IsTerminal as _, stdout};
use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use self::ask::Asked;
use self::export::ExportFormat;
use super::failure::Failure;
use crate::app::master_secret;
use crate::cli::print::say;
use crate::config::{self, LedgerConfig};
use crate::keys::KeyRing;
use crate::ops::tickets::TicketCommand;
use crate::payment_hash::PaymentHash;
use crate::redeem::sealed_order;

/// What is asked for.
pub(super) enum Wanted {
    /// One thing to do or to show.
    One(TicketCommand),
    /// All of them, for an account.
    Export(ExportFormat),
}

/// How it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

pub(super) async fn run(
    path: &Path,
    wanted: Wanted,
    output: Option<Output>,
) -> Result<ExitCode, Failure> {
    if let (Wanted::Export(_), Some(_)) = (&wanted, output) {
        return Err("`--output` is for what is shown; an export is written by `--format`".into());
    }
    let config = LedgerConfig::read(path)?;
    let ring = ring(&config.tickets);
    let asked = Asked::of(config, ring.as_ref().ok()).await?;
    match wanted {
        Wanted::Export(format) => export::run(&asked, format).await?,
        Wanted::One(command) => {
            let is_for_people =
                output.map_or_else(|| stdout().is_terminal(), |output| output == Output::Table);
            show(&asked, command, &ring, is_for_people).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(
    asked: &Asked<'_>,
    command: TicketCommand,
    ring: &Result<KeyRing, Failure>,
    is_for_people: bool,
) -> Result<(), Failure> {
    let mut answer = asked.ask(command).await?;
    match command {
        TicketCommand::Show(hash) => unseal(&mut answer, &hash, ring),
        TicketCommand::Stats { .. } => {
            let states = asked.ask(TicketCommand::States).await?;
            if is_for_people {
                table::stats(&answer, &states);
                return Ok(());
            }
            answer = json!({ "days": answer, "states": states });
        }
        _ => {}
    }
    match command {
        _ if !is_for_people => say!("{answer:#}"),
        TicketCommand::Show(_) => table::one(&answer),
        TicketCommand::ReleaseRestored(_) => {
            let released = answer.get("released").and_then(Value::as_u64).unwrap_or_default();
            say!("{released} ticket(s) freed; those of that time that come in later are taken");
        }
        _ => table::list(&answer),
    }
    Ok(())
}

/// The keys by which orders are sealed and named; no network's in particular.
fn ring(tickets: &config::TicketSettings) -> Result<KeyRing, Failure> {
    let secrets = master_secret::load(tickets, &[], None)?.secrets;
    Ok(KeyRing::new(&secrets, "").ok_or_else(master_secret::no_secret)?)
}

/// Puts the order itself in the place of the sealed one, or says why it can't.
fn unseal(answer: &mut Value, hash: &PaymentHash, ring: &Result<KeyRing, Failure>) {
    let Value::Object(members) = answer else { return };
    let Some(Value::String(sealed)) = members.remove("sealedOrder") else { return };
    let opened = ring.as_ref().map_err(ToString::to_string).and_then(|ring| {
        let sealed = STANDARD.decode(sealed).map_err(|error| error.to_string())?;
        sealed_order::open(ring, hash, &sealed)
            .ok_or_else(|| "it was sealed under a master secret that isn't here".into())
    });
    let order = opened.unwrap_or_else(|why| format!("can't be shown: {why}").into());
    members.insert("order".to_owned(), order);
}
