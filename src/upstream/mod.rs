//! The operator's own backend: how it is reached, what it is sent, and what its answers mean.

pub mod body;
pub mod connect;
pub mod forward;
pub mod health;
pub mod outcome;
pub mod places;
pub mod pool;
pub mod request;
pub mod window;

use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};

use self::connect::Target;
use self::health::Health;
use self::places::{Place, Places};
use self::pool::Pool;

/// Longest that a connection to an upstream may take, whatever the service's own limit is.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// When a connection that was used before may carry a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reuse {
    /// If it was idle for less than this.
    IdleFor(Duration),
    /// Not at all.
    Never,
}

/// One service's backend.
pub struct Upstream {
    /// Where it is.
    pub target: Target,
    /// Path with the operator's fixed parameters, in origin form.
    pub uri: Uri,
    /// Names of the fixed parameters: a client's of the same name are dropped.
    pub fixed_names: Vec<String>,
    /// The operator's own header fields; they replace a client's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Time limit from the connection to the end of an answer that is kept; where it is passed on
    /// as it comes, to the end of its head, and on each pause after.
    pub timeout: Duration,
    /// Texts that must not get into an answer's words: the values of `headers`, and their parts.
    pub secrets: Vec<String>,
    /// Idle connections.
    pub pool: Pool,
    /// Connections that may still be opened; a stranger's free requests have no other limit.
    pub places: Arc<Places>,
    /// Whether it is known to be down.
    pub health: Health,
}

impl Upstream {
    /// A place for one more connection, if need be that of an idle one.
    fn place(&self) -> Option<Place> {
        self.places.take().or_else(|| {
            self.pool.let_go();
            self.places.take()
        })
    }
}
