//! The 402 for who only looks whether a service lives: one challenge for all of them, so that
//! directories cost no invoice each. Whoever pays it has bought one request of the service.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::timeout;

use super::Sale;
use super::challenge::{Bought, NewChallenge, Offered};
use super::offer::payment_required;
use crate::answer::problem::Problem;
use crate::answer::why_to_pay::WhichInvoice;
use crate::answer::{Answer, problems};
use crate::client::Client;
use crate::code::Code;
use crate::price::Msat;
use crate::record::request_log::RequestLog;
use crate::service::Service;
use crate::service::request::PaidRequest;
use crate::time::UnixTime;

/// How long somebody waits for a challenge that is being made.
const PATIENCE: Duration = Duration::from_secs(3);

/// How much time to pay is left at least of a challenge that is shown.
const LEFT_MIN: Duration = Duration::from_secs(60);

/// Whom a service's challenge counts for: an address of "this network" (RFC 791), which no client
/// has.
fn nobody(service: &Service) -> Client {
    let number = u32::try_from(service.index).unwrap_or(0) & 0x00ff_ffff;
    Client::of(Ipv4Addr::from(number).into(), false)
}

impl Sale {
    /// Whether it can be paid for a while, and isn't yet, as far as is known; and costs what the
    /// service does now.
    async fn may_be_shown(&self, challenge: &NewChallenge, price: Msat) -> bool {
        let soon = UnixTime::now().plus(LEFT_MIN.min(self.invoices.expiry() / 2));
        let hash = challenge.invoice.payment_hash;
        if challenge.price != price || challenge.expires <= soon || !self.is_open_here(&hash) {
            return false;
        }
        match &self.payments {
            Some(payments) => payments.is_known_paid(hash).await.is_ok_and(|is_paid| !is_paid),
            None => true,
        }
    }

    /// Shows the price of a service to who asks for nothing.
    pub async fn probe(
        &self,
        request: &PaidRequest<'_>,
        log: &mut RequestLog<'_>,
    ) -> Result<Answer, Problem> {
        let price = request.offer.pricing.fixed().ok_or_else(problems::price_depends)?;
        self.refuse_unless_up(request.service).await?;
        if request.service.upstream.sale_stop.why().is_some() {
            // The few that are handed out meanwhile are for those who may buy.
            return Err(problems::no_sale_upstream_refuses(LEFT_MIN));
        }
        let shown = self.probed.of(request.service);
        // Held over the node's answer: who comes meanwhile gets the same.
        let shown = timeout(PATIENCE, shown.lock()).await;
        let mut shown = shown.map_err(|_| problems::too_many_invoices_at_once())?;
        let challenge = match shown.take() {
            Some(challenge) if self.may_be_shown(&challenge, price).await => {
                request.service.metrics.challenge_again();
                challenge
            }
            _ => {
                let bound = request.probe_digest(&self.ring);
                // It counts as nobody's, so that a client with too many of its own keeps it from no
                // other.
                let nobody = nobody(request.service);
                // Whatever is asked for by it has as many segments as its text.
                let bought = Bought { bound, price, segments: None };
                let minted = self.mint(request, &nobody, bought, log).await?;
                request.service.metrics.challenge(price);
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
            price,
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
        let order = order.and_then(|wanted| request.offer.order_of(wanted).ok());
        let why = Code::PaymentRequired;
        Ok(payment_required(request, order.as_ref(), why, &offered))
    }
}
