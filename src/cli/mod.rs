//! The subcommands: each a function from its arguments to how it ended.

mod check;
mod demo;
mod failure;
mod inbound;
mod ledger;
mod manual;
mod numbers;
mod ops_client;
mod play;
mod print;
mod serve;
mod tickets;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use lightning_invoice::Bolt11Invoice;

use self::check::send::Sending;
use self::check::unit::UnitCheck;
use self::ledger::LedgerCommand;
use self::numbers::NumbersCommand;
use self::print::complain;
use self::tickets::export::ExportFormat;
use self::tickets::{Output, Wanted};

use crate::ledger::state::{Resolution, State};
use crate::ops::tickets::TicketCommand;
use crate::payment_hash::PaymentHash;
use crate::time::UnixTime;

/// An L402 Lightning paywall in front of an HTTP service that stays as it is.
#[derive(Parser)]
#[command(name = "farebox", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gate.
    Serve {
        /// The config file; else farebox.toml here, else /etc/farebox/farebox.toml.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Read the config and try each part; exits 0 only if all is well.
    Check {
        /// The config file; else farebox.toml here, else /etc/farebox/farebox.toml.
        #[arg(long)]
        config: Option<PathBuf>,
        /// A macaroon of LND's that may ask for its name and channels (`readonly.macaroon`, say),
        /// where the one in the config may not.
        #[arg(long)]
        macaroon: Option<PathBuf>,
        /// Send one real request with this body (or query) to a service's backend: a message that
        /// goes out.
        #[arg(long, value_name = "FILE")]
        send: Option<PathBuf>,
        /// The service that it is sent to, where several sell.
        #[arg(long, value_name = "NAME", requires = "send")]
        service: Option<String>,
        /// Only ask the `serve` that runs here whether it can redeem (`/readyz`): for the health
        /// check of a container.
        #[arg(long, conflicts_with_all = ["macaroon", "send"])]
        live: bool,
        /// Check as this systemd unit would meet it: as its user, in its sandbox, with its
        /// environment and its config. For root.
        #[arg(long, value_name = "UNIT", num_args = 0..=1, conflicts_with = "live",
              default_missing_value = "farebox.service")]
        unit: Option<String>,
    },
    /// Look at tickets that were handed in, and say what became of them.
    Tickets {
        /// The config file; else farebox.toml here, else /etc/farebox/farebox.toml.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        /// How it is shown; else a table at a terminal, and JSON where the output goes elsewhere.
        #[arg(long, global = true, value_name = "HOW")]
        output: Option<Output>,
        #[command(subcommand)]
        command: TicketsCommand,
    },
    /// Say that nothing is sold to a telephone number, or that messages are sold to it again; asks
    /// the `serve` that runs here.
    Numbers {
        /// The config file; else farebox.toml here, else /etc/farebox/farebox.toml.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: NumbersCommand,
    },
    /// Print where backends report on messages and hand on what phones send, a line for each
    /// service: secret addresses, for the backends alone.
    Inbound {
        /// The config file; else farebox.toml here, else /etc/farebox/farebox.toml.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Copy the record of tickets, and say that a copy was put back.
    Ledger {
        /// The config file; else farebox.toml here, else /etc/farebox/farebox.toml.
        #[arg(long, global = true)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// Try Farebox on this machine: a gate, a play node with play money, and an outbox that plays
    /// the SMS backend.
    Demo {
        /// Where the gate listens.
        #[arg(long, default_value = "127.0.0.1:8402")]
        gate: SocketAddr,
        /// Where the wallet with play money listens.
        #[arg(long, default_value = "127.0.0.1:8403")]
        wallet: SocketAddr,
        /// Where the outbox listens.
        #[arg(long, default_value = "127.0.0.1:8404")]
        outbox: SocketAddr,
        /// Keep ledger and keys here; without it, in a folder that is removed at the end.
        #[arg(long)]
        state_dir: Option<PathBuf>,
    },
    /// Print the manual page (roff), for `man -l -`.
    Man,
    /// Print what a shell needs to complete command lines.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Run the play node alone: a simulated LND with play money, laid out like LND's folder.
    Play {
        /// The folder to make or use.
        #[arg(long)]
        dir: PathBuf,
        /// Where its gRPC listens.
        #[arg(long, default_value = "127.0.0.1:10009")]
        grpc: SocketAddr,
        /// Where its wallet listens.
        #[arg(long, default_value = "127.0.0.1:8403")]
        wallet: SocketAddr,
    },
}

#[derive(Subcommand)]
enum TicketsCommand {
    /// The newest tickets, a line each.
    List {
        /// Only those that are claimed, free, delivered, parked, revoked or refused.
        #[arg(long, value_parser = state)]
        state: Option<State>,
        /// No more than these.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// One ticket.
    Show {
        /// Its payment hash, or its invoice.
        #[arg(value_parser = hash)]
        ticket: PaymentHash,
    },
    /// Say what became of a parked ticket, or free a refused one.
    #[command(group = clap::ArgGroup::new("outcome").required(true))]
    Resolve {
        /// Its payment hash, or its invoice.
        #[arg(value_parser = hash)]
        ticket: PaymentHash,
        /// Its request was delivered: it is spent.
        #[arg(long, group = "outcome")]
        delivered: bool,
        /// Its request was certainly not delivered: it can be handed in again.
        #[arg(long, group = "outcome")]
        release: bool,
    },
    /// Free what a restore parked: once you know that nothing was sent with these tickets since the
    /// copy was made.
    Release {
        /// Only tickets that were minted before this: 2026-11-28T09:30:00Z, or Unix seconds.
        #[arg(long, value_parser = time)]
        minted_before: UnixTime,
    },
    /// What was asked for, paid and delivered, per service and day (UTC).
    Stats {
        /// How many days back, with today.
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
    /// All tickets for an account, a line each, the oldest first: those that were handed in, and
    /// those that are known to be paid.
    Export {
        /// How it is written.
        #[arg(long, default_value = "csv")]
        format: ExportFormat,
    },
    /// Take a ticket back for good, whatever its state.
    Revoke {
        /// Its payment hash, or its invoice.
        #[arg(value_parser = hash)]
        ticket: PaymentHash,
    },
}

impl TicketsCommand {
    fn wanted(self) -> Wanted {
        Wanted::One(match self {
            Self::Export { format } => return Wanted::Export(format),
            Self::List { state, limit } => TicketCommand::List { state, limit },
            Self::Show { ticket } => TicketCommand::Show(ticket),
            Self::Resolve { ticket, delivered: true, .. } => {
                TicketCommand::Resolve(ticket, Resolution::Delivered)
            }
            Self::Resolve { ticket, .. } => TicketCommand::Resolve(ticket, Resolution::Release),
            Self::Release { minted_before } => TicketCommand::ReleaseRestored(minted_before),
            Self::Stats { days } => TicketCommand::Stats { days },
            Self::Revoke { ticket } => TicketCommand::Revoke(ticket),
        })
    }
}

fn state(word: &str) -> Result<State, String> {
    crate::ops::tickets::state_of(word)
        .ok_or_else(|| "one of claimed, free, delivered, parked, revoked, refused".to_owned())
}

fn time(text: &str) -> Result<UnixTime, String> {
    let hint = "a time such as 2026-11-28T09:30:00Z, or Unix seconds";
    UnixTime::parse(text).ok_or_else(|| hint.to_owned())
}

/// Of the hash itself, or of an invoice (BOLT 11), as wallets show it.
fn hash(text: &str) -> Result<PaymentHash, String> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_prefix("lightning:").unwrap_or(&text);
    if !text.starts_with("ln") {
        let hint = "a payment hash has 64 hex digits, and an invoice begins with \"ln\"";
        return PaymentHash::from_hex(text).ok_or_else(|| hint.to_owned());
    }
    let invoice = text.parse::<Bolt11Invoice>();
    let invoice = invoice.map_err(|error| format!("it is no whole invoice: {error}"))?;
    PaymentHash::from_hex(&invoice.payment_hash().to_string())
        .ok_or_else(|| "its payment hash can't be read".to_owned())
}

/// Where the config is, if nothing else is said.
const CONFIG_HERE: &str = "farebox.toml";
const CONFIG_OF_SYSTEM: &str = "/etc/farebox/farebox.toml";

/// The config file that was named, or the first that is there. Where none is, an error names both.
fn config_file(named: Option<PathBuf>) -> PathBuf {
    named.unwrap_or_else(|| {
        let of_system = Path::new(CONFIG_OF_SYSTEM);
        let is_here = Path::new(CONFIG_HERE).exists() || !of_system.exists();
        if is_here { CONFIG_HERE.into() } else { of_system.to_owned() }
    })
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    // Fails only if there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime can't start: {error}")),
    };
    let ended = runtime.block_on(async {
        match arguments.command {
            Command::Serve { config } => serve::run(&config_file(config)).await,
            Command::Man => {
                manual::man(Arguments::command())?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Completions { shell } => {
                manual::completions(Arguments::command(), shell);
                Ok(ExitCode::SUCCESS)
            }
            Command::Check { config, live: true, .. } => {
                check::live::run(&config_file(config)).await
            }
            Command::Check { config, macaroon, send, service, unit: Some(unit), .. } => {
                let sending = send.map(|file| Sending { file, service });
                check::unit::run(UnitCheck { unit, config, macaroon, sending })
            }
            Command::Check { config, macaroon, send, service, .. } => {
                let sending = send.map(|file| Sending { file, service });
                check::run(&config_file(config), macaroon.as_deref(), sending).await
            }
            Command::Tickets { config, output, command } => {
                tickets::run(&config_file(config), command.wanted(), output).await
            }
            Command::Numbers { config, command } => {
                numbers::run(&config_file(config), command).await
            }
            Command::Inbound { config } => inbound::run(&config_file(config)),
            Command::Ledger { config, command } => ledger::run(&config_file(config), command).await,
            Command::Demo { gate, wallet, outbox, state_dir } => {
                demo::run(gate, wallet, outbox, state_dir).await
            }
            Command::Play { dir, grpc, wallet } => play::run(&dir, grpc, wallet).await,
        }
    });
    // Not waited for: whatever is still open belongs to strangers.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) => {
            complain!("farebox: {error}");
            failure::exit_code(&error)
        }
    }
}

fn fail(what: &str) -> ExitCode {
    complain!("farebox: {what}");
    ExitCode::FAILURE
}
