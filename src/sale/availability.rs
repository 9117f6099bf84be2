//! Promise 5: what can't be delivered isn't sold.

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
            Ok(()) => Ok(()),
            // Invoices that are there needn't be waited for.
            Err(error)
                if error.kind() == NodeErrorKind::Slow && self.stocks.has_any(request.service) =>
            {
                Ok(())
            }
            Err(_) => Err(problems::no_sale_node_down()),
        }
    }
}
