//! What a service's section is read with, beside itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::rate::CurrentRate;

/// What other sections say.
pub(crate) struct Shared<'a> {
    /// Where relative paths start.
    pub(crate) folder: &'a Path,
    /// How payers reach the gate, if that is said.
    pub(crate) public_url: Option<&'a str>,
    /// How long a single-use ticket is worth something once its invoice can't be paid any more.
    pub(crate) lifetime: Duration,
    /// Whether payments are detected.
    pub(crate) detects_payments: bool,
    /// What a bitcoin costs, where `[rate]` is there.
    pub(crate) rate: Option<&'a Arc<CurrentRate>>,
}
