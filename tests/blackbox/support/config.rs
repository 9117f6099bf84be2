//! The config of a gate under test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The request of the README.
pub const SMS: &str = r#"{"phone_number":"+1234567890","message":"Hello, this is a test SMS!"}"#;

pub const PATH: &str = "/api/l402/send-sms";

/// A master secret for several instances.
pub const SECRET: &str = "0101010101010101010101010101010101010101010101010101010101010101";

/// How a world differs from the usual one.
#[derive(Default, Clone)]
pub struct Options {
    /// Lines for the sections of the config.
    pub listen: String,
    pub lnd: String,
    pub tickets: String,
    pub limits: String,
    pub service: String,
    /// Whole further sections; `UPSTREAM` stands for the upstream's address.
    pub more: String,
    /// Where LND is, if not at the shared play node.
    pub node: Option<(SocketAddr, PathBuf)>,
    /// That node's wallet.
    pub wallet: Option<SocketAddr>,
    /// The macaroon that is shown to it, if not the one for invoices.
    pub macaroon: Option<PathBuf>,
    pub plain_http: Option<bool>,
    /// Further environment variables of the gate.
    pub environment: Vec<(&'static str, String)>,
    /// The master secret, if it is not to be made.
    pub master_secret: Option<&'static str>,
}

impl Options {
    /// A gate with its ledger in PostgreSQL.
    pub fn postgres(url: &str) -> Self {
        Self {
            more: "[ledger]\npostgres = { env = \"FAREBOX_LEDGER\" }\n".to_owned(),
            environment: vec![("FAREBOX_LEDGER", url.to_owned())],
            master_secret: Some(SECRET),
            ..Self::default()
        }
    }
}

pub fn config(options: &Options, node: SocketAddr, lnd: &Path, upstream: SocketAddr) -> String {
    let sections = sections(options, node, lnd);
    let services = SERVICES
        .replace("PATH", PATH)
        .replace("SERVICE_LINES", &options.service)
        .replace("MORE", &options.more)
        .replace("UPSTREAM", &upstream.to_string());
    sections + &services
}

fn sections(options: &Options, node: SocketAddr, lnd: &Path) -> String {
    let Options { listen, lnd: lnd_lines, tickets, limits, .. } = options;
    let plain = options.plain_http.unwrap_or(true);
    let macaroon = options
        .macaroon
        .clone()
        .unwrap_or_else(|| lnd.join("data/chain/bitcoin/regtest/invoice.macaroon"));
    let (lnd, macaroon) = (lnd.display(), macaroon.display());
    format!(
        r#"state_dir = "state"

[listen]
address = "127.0.0.1:0"
plain_http = {plain}
{listen}

[ops]
address = "127.0.0.1:0"

[lnd]
address = "{node}"
certificate = "{lnd}/tls.cert"
macaroon = "{macaroon}"
network = "regtest"
{lnd_lines}

[tickets]
{tickets}

[limits]
trusted_proxies = ["127.0.0.1"]
{limits}
"#
    )
}

const SERVICES: &str = r#"
[[service]]
name = "send-sms"
title = "Send an SMS"
method = "POST"
path = "PATH"
ticket = "single-use"
price_sat = 100
upstream = "http://UPSTREAM/send?account=7"
upstream_headers = { Authorization = { env = "SMS_BACKEND_TOKEN" }, X-Gate = "farebox" }
SERVICE_LINES

[service.input]
type = "object"
required = ["phone_number", "message"]
additionalProperties = false

[service.input.properties.phone_number]
type = "string"
format = "e164"

[service.input.properties.message]
type = "string"
minLength = 1
maxLength = 120

[[service]]
name = "free"
method = "POST"
path = "/free"
ticket = "free"
upstream = "http://UPSTREAM/free"

[[service]]
name = "status"
method = "GET"
path = "/status"
ticket = "free"
upstream = "http://UPSTREAM/status"

MORE
"#;

/// A pass for an hour, as a further section.
pub const PASS: &str = r#"
[[service]]
name = "by-time"
method = "GET"
path = "/by-time"
ticket = "pass"
pass_time = "1h"
price_sat = 50
upstream = "http://UPSTREAM/data"
"#;
