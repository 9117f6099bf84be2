//! How the play node is, by order of whoever tests against it.

use std::str::FromStr;
use std::time::Duration;

use tokio::sync::watch;
use tonic::Status;

use crate::lightning::lnd::proto::lnrpc::WalletState;

/// How the node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// It serves.
    Up,
    /// Nobody listens; streams have ended cleanly, as at a shutdown of LND's.
    Down,
    /// Before its RPC services are there.
    Waiting,
    /// It has no wallet.
    NoWallet,
    /// Its wallet is locked.
    Locked,
    /// Its wallet was unlocked a moment ago.
    Starting,
    /// Its chain is not synced: it stores invoices, and then hangs.
    Syncing,
    /// It takes its time to make an invoice.
    Slow(Duration),
    /// It takes connections and says nothing, on streams neither.
    Silent,
    /// It stores an invoice, and the connection is reset before the answer.
    Resets,
}

impl FromStr for Condition {
    type Err = &'static str;

    fn from_str(words: &str) -> Result<Self, Self::Err> {
        Ok(match words.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["up"] => Self::Up,
            ["down"] => Self::Down,
            ["waiting"] => Self::Waiting,
            ["no-wallet"] => Self::NoWallet,
            ["locked"] => Self::Locked,
            ["starting"] => Self::Starting,
            ["syncing"] => Self::Syncing,
            ["silent"] => Self::Silent,
            ["resets"] => Self::Resets,
            ["slow", millis] => Self::Slow(Duration::from_millis(
                millis.parse().map_err(|_| "slow takes milliseconds")?,
            )),
            _ => {
                return Err(
                    "one of: up, down, waiting, no-wallet, locked, starting, syncing, silent, \
                     resets, slow <milliseconds>",
                );
            }
        })
    }
}

impl Condition {
    /// What the State service says.
    pub(super) fn wallet_state(self) -> WalletState {
        match self {
            Self::Waiting | Self::Down => WalletState::WaitingToStart,
            Self::NoWallet => WalletState::NonExisting,
            Self::Locked => WalletState::Locked,
            Self::Starting => WalletState::Unlocked,
            Self::Syncing => WalletState::RpcActive,
            Self::Up | Self::Slow(_) | Self::Silent | Self::Resets => WalletState::ServerActive,
        }
    }

    /// What every other service says instead of an answer, in LND's words.
    pub(super) fn refusal(self) -> Option<Status> {
        let words = match self {
            Self::Waiting => "waiting to start, RPC services not available",
            Self::NoWallet => "wallet not created, create one to enable full RPC access",
            Self::Locked => "wallet locked, unlock it to enable full RPC access",
            Self::Starting => {
                "the RPC server is in the process of starting up, but not yet ready to accept calls"
            }
            _ => return None,
        };
        Some(Status::unknown(words))
    }

    /// Whether streams go on; a silent one has them open, and says nothing.
    pub(super) fn keeps_streams(self) -> bool {
        matches!(self, Self::Up | Self::Slow(_) | Self::Resets | Self::Syncing | Self::Silent)
    }
}

/// The node's condition, and what its files are, for everybody who has to follow.
pub(super) struct Control {
    condition: watch::Sender<Condition>,
    /// Counts how often certificate or macaroons were made again.
    files: watch::Sender<u64>,
}

impl Default for Control {
    fn default() -> Self {
        Self { condition: watch::Sender::new(Condition::Up), files: watch::Sender::new(0) }
    }
}

impl Control {
    /// How it is.
    pub(super) fn condition(&self) -> Condition {
        *self.condition.borrow()
    }

    /// How it is from now on.
    pub(super) fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }

    /// Follows it.
    pub(super) fn follow(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Says that the files were made again.
    pub(super) fn files_changed(&self) {
        self.files.send_modify(|count| *count += 1);
    }

    /// Follows the files.
    pub(super) fn follow_files(&self) -> watch::Receiver<u64> {
        self.files.subscribe()
    }
}
