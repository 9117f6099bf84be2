//! The 402 for who only looks whether a service lives: one challenge for all of them, so that
//! directories cost no invoice each. Whoever pays it has bought one request of the service.

use std::time::Duration;

use super::Sale;
use super::challenge::Offered;
use super::offer::payment_required;
use crate::answer::problem::Problem;
use crate::answer::why_to_pay::WhichInvoice;
use crate::answer::{Answer, problems};
use crate::code::Code;
use crate::record::request_log::RequestLog;
use crate::service::request::PaidRequest;
use crate::time::UnixTime;

/// How much time to pay is left at least of a challenge that is shown.
const LEFT_MIN: Duration = Duration::from_secs(60);

impl Sale {
    /// Shows the price of a service to who asks for nothing.
    pub async fn probe(
        &self,
        request: &PaidRequest<'_>,
        log: &mut RequestLog<'_>,
    ) -> Result<Answer, Problem> {
        self.refuse_if_down(request.service)?;
        let shown = self.probed.of(request.service).ok_or_else(problems::internal)?;
        // Held over the node's answer: who comes meanwhile gets the same.
        let mut shown = shown.lock().await;
        let soon = UnixTime::now().plus(LEFT_MIN.min(self.catalogue.times.invoice_expiry / 2));
        let challenge = match shown.take().filter(|challenge| challenge.expires > soon) {
            Some(challenge) => challenge,
            None => {
                let bound = request.probe_digest(&self.ring);
                let minted = self.mint(request, bound, log).await?;
                request.service.metrics.challenge(request.offer.price);
                minted
            }
        };
        let challenge = shown.insert(challenge);
        log.ticket(challenge.invoice.payment_hash);
        let offered = Offered {
            macaroon: &challenge.macaroon,
            invoice: &challenge.invoice.bolt11,
            hash: challenge.invoice.payment_hash,
            which: WhichInvoice::New,
            expires: challenge.expires,
            price: request.offer.price,
            kind: challenge.kind,
            valid_until: challenge.valid_until,
            detail: Some(
                "You asked for nothing, so this shows what one request costs. Send the request \
                 that you want served, to get an invoice of its own. This one is shown to all who \
                 ask for nothing; whoever pays it can have one request of this service served, \
                 with its preimage.",
            ),
        };
        let order = request.offer.example.as_ref();
        let order = order.and_then(|wanted| request.offer.rules.order_of(wanted).ok());
        let why = Code::PaymentRequired;
        Ok(payment_required(&self.catalogue, request, order.as_ref(), why, &offered))
    }
}
