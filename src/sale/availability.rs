//! Promise 5: what can't be delivered isn't sold.

use tokio::time::Instant;

use super::Sale;
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::lightning::error::NodeErrorKind;
use crate::service::request::PaidRequest;

impl Sale {
    /// `Err` while something is known to be down.
    pub(super) fn refuse_if_down(&self, request: &PaidRequest<'_>) -> Result<(), Problem> {
        if self.ledger.health().is_err() {
            return Err(problems::no_sale_ledger_down());
        }
        if request.service.upstream.health.is_down() {
            return Err(problems::no_sale_upstream_down());
        }
        match self.invoices.node_state() {
            Ok(()) => {}
            // Invoices that are there needn't be waited for.
            Err(error)
                if error.kind() == NodeErrorKind::Slow && self.stocks.has_any(request.service) => {}
            Err(_) => return Err(problems::no_sale_node_down()),
        }
        // The last: it may take one of the few that are left for trial.
        let (stop, now) = (&request.service.upstream.sale_stop, Instant::now());
        stop.take_challenge(now).map_err(|pause| match stop.is_limited(now) {
            true => problems::no_sale_upstream_limited(pause),
            false => problems::no_sale_upstream_refuses(pause),
        })
    }
}
