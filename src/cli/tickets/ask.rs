//! A running `serve` is asked over its second listener; without one, the ledger is opened here.

use serde_json::Value;
use tokio::net::TcpStream;

use crate::app::log::Log;
use crate::cli::failure::Failure;
use crate::cli::ops_client;
use crate::config::{LedgerConfig, LedgerPlace, LogSettings, OpsSettings};
use crate::keys::KeyRing;
use crate::ledger::Ledger;
use crate::ledger::sqlite::SqliteLedger;
use crate::ledger::store::LedgerTerms;
use crate::ops::audit::Actor;
use crate::ops::tickets::{self, TicketCommand};

/// Whom to ask.
pub(super) enum Asked<'a> {
    /// The `serve` that runs.
    Running(OpsSettings),
    /// Nobody: the ledger lies here.
    Here(Box<HereLedger<'a>>),
}

/// A ledger that no `serve` has open.
pub(super) struct HereLedger<'a> {
    ledger: Ledger,
    ring: Option<&'a KeyRing>,
    detects: bool,
    log: Log,
}

impl<'a> Asked<'a> {
    pub(super) async fn of(
        config: LedgerConfig,
        ring: Option<&'a KeyRing>,
    ) -> Result<Self, Failure> {
        match TcpStream::connect(config.ops.address).await {
            Ok(_) => Ok(Self::Running(config.ops)),
            Err(_) => Ok(Self::Here(Box::new(HereLedger::open(config, ring)?))),
        }
    }

    pub(super) async fn ask(&self, command: TicketCommand) -> Result<Value, Failure> {
        match self {
            Self::Running(ops) => over_http(ops, command).await,
            Self::Here(here) => here.ask(command).await,
        }
    }
}

impl<'a> HereLedger<'a> {
    fn open(config: LedgerConfig, ring: Option<&'a KeyRing>) -> Result<Self, Failure> {
        let terms = LedgerTerms { replay: config.tickets.replay };
        let (ops, detects) = (config.ops.address, config.detects_payments);
        let LedgerPlace::Sqlite(path) = config.place()? else {
            return Err(format!(
                "no `serve` answers at `ops.address` {ops}; start one: it knows the database"
            )
            .into());
        };
        let found = SqliteLedger::identify(&path)?;
        if found.is_none() {
            return Err(format!(
                "there is no ledger at {}: nothing was handed in yet",
                path.display()
            )
            .into());
        }
        // What is done to a ticket is said in a line, as `serve` says it.
        let log = Log::start(&LogSettings::default())?;
        let ledger = Ledger::new(SqliteLedger::open(&path, terms, Box::new(|_| {}))?);
        Ok(Self { ledger, ring, detects, log })
    }

    async fn ask(&self, command: TicketCommand) -> Result<Value, Failure> {
        let (ledger, actor) = (&self.ledger, Actor::CommandLine);
        let answered = tickets::answer(ledger, self.ring, actor, command, self.detects).await;
        self.log.flush();
        answered.map_err(Failure::from)
    }
}

async fn over_http(ops: &OpsSettings, command: TicketCommand) -> Result<Value, Failure> {
    let (method, target) = tickets::write(&command);
    let token = ops.token.as_ref().map(|token| token.as_str());
    let (status, answer) = ops_client::ask(ops.address, token, method, &target).await?;
    if status.is_success() {
        return Ok(answer);
    }
    Err(answer.get("error").and_then(Value::as_str).unwrap_or("refused").into())
}
