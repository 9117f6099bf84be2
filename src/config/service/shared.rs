//! What a service's section is read with, beside itself.

use std::path::Path;
use std::sync::Arc;

use crate::rate::CurrentRate;

/// What other sections say.
pub(crate) struct Shared<'a> {
    /// Where relative paths start.
    pub(crate) folder: &'a Path,
    /// Whether payments are detected.
    pub(crate) detects_payments: bool,
    /// What a bitcoin costs, where `[rate]` is there.
    pub(crate) rate: Option<&'a Arc<CurrentRate>>,
}
