//! The subcommands: each a function from its arguments to how it ended.
// What a subcommand is asked to show goes to standard output.
#![allow(clippy::print_stdout)]

mod assemble;
mod check;
mod demo;
mod master_secret;
mod play;
mod serve;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
        /// The config file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Read the config and try each part; exits 0 only if all is well.
    Check {
        /// The config file.
        #[arg(long)]
        config: PathBuf,
    },
    /// Try Farebox on this machine: a gate, a play node with play money, and an outbox that plays the SMS backend.
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
            Command::Serve { config } => serve::run(&config).await,
            Command::Check { config } => check::run(&config).await,
            Command::Demo { gate, wallet, outbox, state_dir } => demo::run(gate, wallet, outbox, state_dir).await,
            Command::Play { dir, grpc, wallet } => play::run(&dir, grpc, wallet).await,
        }
    });
    // Not waited for: whatever is still open belongs to strangers.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

fn fail(what: &str) -> ExitCode {
    eprintln!("farebox: {what}");
    ExitCode::FAILURE
}

/// Ends with the first SIGTERM or SIGINT.
async fn stop_signal() -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let handler = |kind| signal(kind).map_err(|error| format!("signals can't be handled: {error}"));
    let (mut terminate, mut interrupt) = (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Binds, or says which key of the config or option to change.
async fn bind(what: &str, address: SocketAddr) -> Result<tokio::net::TcpListener, String> {
    tokio::net::TcpListener::bind(address).await.map_err(|error| format!("{what} can't listen on {address}: {error}"))
}
