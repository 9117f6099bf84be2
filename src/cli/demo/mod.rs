//! `farebox demo`: everything on this machine, with play money. The gate is the real one, with a
//! config as an operator would write it.

mod outbox;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use crate::app::bind::bind;
use crate::app::log::Log;
use crate::app::run::{Server, StopOrders};
use crate::app::signal::stop_signal;
use crate::cli::failure::Failure;
use crate::cli::print::say;
use crate::config::Config;
use crate::lightning::play::{PlayNode, wallet};

pub(super) async fn run(
    gate: SocketAddr,
    wallet: SocketAddr,
    outbox: SocketAddr,
    state_dir: Option<PathBuf>,
) -> Result<ExitCode, Failure> {
    let folder = Folder::new(state_dir)?;
    let node = PlayNode::open(&folder.path.join("play-node"))?;
    let grpc = bind("the play node", SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let wallet = bind("`--wallet`: the wallet", wallet).await?;
    let outbox = bind("`--outbox`: the outbox", outbox).await?;
    let address = |listener: &tokio::net::TcpListener| {
        listener.local_addr().map_err(|error| error.to_string())
    };
    let (grpc_address, wallet_address, outbox_address) =
        (address(&grpc)?, address(&wallet)?, address(&outbox)?);
    std::fs::write(folder.path.join("prices.csv"), PRICES)?;
    let text = config(gate, grpc_address, wallet_address, outbox_address);
    let config = Config::parse(&folder.path.join("demo.toml"), &text)?;
    tokio::spawn(wallet::serve(wallet, Arc::clone(&node)));
    tokio::spawn(node.serve(grpc));
    tokio::spawn(outbox::serve(outbox));
    let server = Server::start(config, Log::none())
        .await
        .map_err(|error| format!("{error} (`--gate` changes the gate's address)"))?;
    say!("{}", instructions(server.gate_address, wallet_address, outbox_address));
    let orders = StopOrders::default();
    let stop = orders.stop.clone();
    tokio::spawn(async move {
        let _ = stop_signal().await;
        stop.cancel();
    });
    Ok(server.until(orders).await?)
}

/// The state, in a folder that is removed at the end unless it was named.
struct Folder {
    path: PathBuf,
    is_ours: bool,
}

impl Folder {
    fn new(named: Option<PathBuf>) -> Result<Self, Failure> {
        let is_ours = named.is_none();
        let path = named.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("farebox-demo-{}", std::process::id()))
        });
        std::fs::create_dir_all(&path)
            .map_err(|error| format!("{} can't be made: {error}", path.display()))?;
        let path = std::path::absolute(&path)?;
        Ok(Self { path, is_ours })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = std::fs::remove_dir_all(Path::new(&self.path));
        }
    }
}

/// What a segment costs, by where it goes, in sat.
const PRICES: &str = "\
prefix,price
+1,100
+2,250
+3,120
+4,120
+5,200
+6,200
+7,150
+8,180
+9,200
";

fn config(gate: SocketAddr, grpc: SocketAddr, wallet: SocketAddr, outbox: SocketAddr) -> String {
    format!(
        r#"state_dir = "state"

[listen]
address = "{gate}"
plain_http = true

[ops]
address = "127.0.0.1:0"

[lnd]
address = "{grpc}"
certificate = "play-node/tls.cert"
macaroon = "play-node/data/chain/bitcoin/regtest/invoice.macaroon"
network = "regtest"
detect_payments = true

[pages]
title = "Farebox demo (play money)"
about = """Send a text message and pay for it over Lightning: no account, no setup. Here \
with play money, and no message leaves this machine."""

[pages.wallet]
title = "Pay with the play wallet (play money)"
url = "http://{wallet}/?invoice={{invoice}}"

[[service]]
name = "send-sms"
title = "Send an SMS (play money)"
about = "One text message to one phone, anywhere. You pay for this message only."
example = {{ phone_number = "+1234567890", message = "Hello, this is a test SMS!" }}
method = "POST"
path = "/api/l402/send-sms"
ticket = "single-use"
price = {{ table = "prices.csv", per = "segment" }}
upstream = "http://{outbox}/send"
sms = {{ to = "phone_number", text = "message", max_segments = 2 }}

[service.input]
type = "object"
required = ["phone_number", "message"]
additionalProperties = false

[service.input.properties.phone_number]
type = "string"
title = "Phone number"
description = "With the country code, such as +12025550123."
format = "e164"

[service.input.properties.message]
type = "string"
title = "Message"
description = "Up to 120 characters."
minLength = 1
maxLength = 120
"#
    )
}

fn instructions(gate: SocketAddr, wallet: SocketAddr, outbox: SocketAddr) -> String {
    let sms = r#"{"phone_number":"+1234567890","message":"Hello, this is a test SMS!"}"#;
    let ask = format!(
        "curl -s http://{gate}/api/l402/send-sms -H 'Content-Type: application/json' -d '{sms}'"
    );
    let field = |name: &str| {
        format!(r#"$(printf '%s' "$CHALLENGE" | sed 's/.*"{name}":"\([^"]*\)".*/\1/')"#)
    };
    format!(
        r#"Farebox demo: play money, nothing real is paid or sent.

In a browser:  http://{gate}/

  gate    http://{gate}/api/l402/send-sms
  wallet  http://{wallet}/pay
  outbox  http://{outbox}/outbox

Or paste these into another shell.

1. Ask for the price. Nothing is sent; the answer (402) has an invoice and a macaroon:

CHALLENGE=$({ask}); printf '%s\n' "$CHALLENGE"

2. Pay the invoice with the wallet. It answers with the preimage:

PREIMAGE=$(curl -s http://{wallet}/pay --data-binary "{invoice}"); printf '%s\n' "$PREIMAGE"

3. Send the identical request with the ticket. The message goes out once, however often you do:

{ask} -H "Authorization: L402 {macaroon}:$PREIMAGE"

Ctrl-C ends the demo. Messages show up here:
"#,
        invoice = field("invoice"),
        macaroon = field("macaroon"),
    )
}
