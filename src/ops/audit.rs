//! Whose act it was, for the line that each act of an operator leaves in the log: module
//! `farebox::audit`, at info, whatever the level of others is.

use std::fmt;
use std::net::SocketAddr;

/// The module of audit lines.
pub const AUDIT: &str = "farebox::audit";

/// Who acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Actor {
    /// Whoever asks the second listener, from this address.
    Listener(SocketAddr),
    /// Whoever runs the command line, on this machine.
    CommandLine,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(address) => write!(f, "{address}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}
