//! Promise 5: what can't be delivered isn't sold.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Sale;
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::lightning::error::NodeErrorKind;
use crate::service::Service;
use crate::upstream::sale_stop::SaleStop;

/// Longest time that a buyer waits for the first look at the node, and how often it is asked for.
pub const FIRST_LOOK_MAX: Duration = Duration::from_secs(10);
const FIRST_LOOK_INTERVAL: Duration = Duration::from_millis(10);

impl Sale {
    /// The same as `refuse_if_down`, once the node has been looked at: a buyer who comes at a start
    /// isn't told that it is down. The time counts from the start.
    pub(super) async fn refuse_unless_up(&self, service: &Service) -> Result<(), Problem> {
        let is_not_tried = || {
            let state = self.invoices.node_state();
            state.is_err_and(|error| error.kind() == NodeErrorKind::NotTried)
        };
        while is_not_tried() && self.opened.elapsed() < FIRST_LOOK_MAX {
            sleep(FIRST_LOOK_INTERVAL).await;
        }
        self.refuse_if_down(service)
    }

    /// `Err` while something is known to be down.
    pub(super) fn refuse_if_down(&self, service: &Service) -> Result<(), Problem> {
        if self.ledger.health().is_err() {
            return Err(problems::no_sale_ledger_down());
        }
        if service.upstream.health.is_down() {
            return Err(problems::no_sale_upstream_down());
        }
        if service.offer.as_ref().is_some_and(|offer| !offer.pricing.is_known()) {
            return Err(problems::no_sale_without_rate());
        }
        match self.invoices.node_state() {
            Ok(()) => {}
            // Invoices that are there needn't be waited for.
            Err(error) if error.kind() == NodeErrorKind::Slow && self.stocks.has_any(service) => {}
            Err(_) => return Err(problems::no_sale_node_down()),
        }
        let stop = &service.upstream.sale_stop;
        stop.may_sell(Instant::now()).map_err(|pause| stopped(stop, pause))
    }
}

/// Sales are stopped by what the upstream answers, for so long.
pub(super) fn stopped(stop: &SaleStop, pause: Duration) -> Problem {
    match stop.is_limited(Instant::now()) {
        true => problems::no_sale_upstream_limited(pause),
        false => problems::no_sale_upstream_refuses(pause),
    }
}
