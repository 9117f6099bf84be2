//! `farebox play`: the play node as a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::failure::Failure;
use crate::app::bind::bind;
use crate::app::signal::stop_signal;
use crate::cli::print::complain;
use crate::lightning::play::{PlayNode, wallet};

pub(super) async fn run(
    dir: &Path,
    grpc: SocketAddr,
    wallet: SocketAddr,
) -> Result<ExitCode, Failure> {
    let node = PlayNode::open(dir)?;
    let grpc = bind("`--grpc`: the play node", grpc).await?;
    let wallet = bind("`--wallet`: the wallet", wallet).await?;
    let address = |listener: &tokio::net::TcpListener| {
        listener.local_addr().map_err(|error| error.to_string())
    };
    complain!("Play node (play money, regtest): a simulated LND.");
    complain!("  gRPC         {}", address(&grpc)?);
    complain!("  certificate  {}", node.layout().certificate.display());
    complain!("  macaroon     {}", node.layout().invoice_macaroon.display());
    complain!("  wallet       http://{0}/pay, and in a browser http://{0}/", address(&wallet)?);
    tokio::spawn(wallet::serve(wallet, Arc::clone(&node)));
    tokio::spawn(node.serve(grpc));
    stop_signal().await?;
    Ok(ExitCode::SUCCESS)
}
