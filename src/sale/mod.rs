//! From "no ticket" to a 402: availability, limit, invoice, credential. What can't be delivered
//! isn't sold.

mod availability;
mod challenge;
mod invoices;
mod mint;
mod offer;
mod page;
mod pending;
mod probe;
mod probed;
mod quote;
mod stock;
pub mod unpaid_limit;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::availability::FIRST_LOOK_MAX;
use self::challenge::{Bought, NewChallenge, Offered};
use self::invoices::Invoices;
use self::offer::payment_required;
use self::probed::Probed;
use self::stock::Stocks;
use self::unpaid_limit::UnpaidLimit;
use crate::answer::problem::Problem;
use crate::answer::why_to_pay::WhichInvoice;
use crate::answer::{Answer, problems};
use crate::code::Code;
use crate::keys::KeyRing;
use crate::ledger::Ledger;
use crate::lightning::Node;
use crate::order::Order;
use crate::payment::Payments;
use crate::payment_hash::PaymentHash;
use crate::price::Msat;
use crate::rate_limit::RateLimit;
use crate::record::request_log::RequestLog;
use crate::service::numbers::refuse_unless_sold_to;
use crate::service::request::PaidRequest;
use crate::service::{Catalogue, Service, validate};
use crate::ticket::{Pending, Rejected};
use crate::time::UnixTime;

/// Most quotes of one client in [`QUESTIONS_WINDOW`], and most pictures of invoices: a page asks at
/// most three times a second while somebody types.
const QUESTIONS_MAX: u32 = 100;

/// See [`QUESTIONS_MAX`].
const QUESTIONS_WINDOW: Duration = Duration::from_secs(10);

/// Sells tickets.
pub struct Sale {
    ring: Arc<KeyRing>,
    ledger: Arc<Ledger>,
    /// `None` where payments aren't detected.
    payments: Option<Arc<Payments>>,
    unpaid: Arc<UnpaidLimit>,
    invoices: Arc<Invoices>,
    stocks: Arc<Stocks>,
    /// How often clients ask for prices, and for pictures.
    quotes: RateLimit,
    pictures: RateLimit,
    /// What is shown to who asks for nothing.
    probed: Probed,
    /// Since when it sells.
    opened: Instant,
}

impl Sale {
    /// `payments` is `None` where payments aren't detected; `mint_ahead` says how many invoices are
    /// made ahead for each service at most, 0 for none.
    pub fn new(
        catalogue: &Catalogue,
        ring: Arc<KeyRing>,
        ledger: Arc<Ledger>,
        node: Arc<dyn Node>,
        payments: Option<Arc<Payments>>,
        unpaid: Arc<UnpaidLimit>,
        mint_ahead: usize,
    ) -> Self {
        let invoices = Arc::new(Invoices::new(node, catalogue.times.invoice_expiry));
        let stocks = Stocks::new(mint_ahead, Arc::clone(&invoices), Arc::clone(&ledger));
        stocks.open(&catalogue.services);
        let stocks = Arc::new(stocks);
        let questions = || RateLimit::new(QUESTIONS_MAX, QUESTIONS_WINDOW);
        let (quotes, pictures) = (questions(), questions());
        Self {
            ring,
            ledger,
            payments,
            unpaid,
            invoices,
            stocks,
            quotes,
            pictures,
            probed: Probed::default(),
            opened: Instant::now(),
        }
    }

    /// Offers a ticket: a new one, or the same pending one again to whoever holds it.
    pub async fn sell(
        &self,
        request: &PaidRequest<'_>,
        mut rejected: Rejected,
        log: &mut RequestLog<'_>,
    ) -> Result<Answer, Problem> {
        if rejected.why == Code::PassNotTaken {
            return Err(problems::pass_not_taken());
        }
        // What was sold before isn't judged again.
        let sold = rejected.pending.as_ref().and_then(|pending| pending.order.clone());
        let order = sold.clone().map_or_else(|| validate::for_sale(request), Ok)?;
        self.refuse_unless_up(request.service).await?;
        let is_revoked = |pending: &&Pending| self.ledger.is_revoked(&pending.hash);
        if let Some(pending) = rejected.pending.as_ref().filter(is_revoked) {
            // What its payment would buy was taken back: its invoice is not offered again.
            log.ticket(pending.hash);
            rejected = Rejected::because(Code::TicketRevoked);
        }
        if let Some(pending) = &rejected.pending {
            log.ticket(pending.hash);
            let open = self.still_open(request, pending).await?;
            // Paid by now, it would be parked: what can't be delivered isn't sold.
            let open = open.filter(|_| !self.is_of_another_life(pending));
            // Nor is what may be paid already kept from its holder.
            if open.is_some() && !rejected.claims_payment() {
                self.refuse_unless_sold_to(request, &order).await?;
            }
            // What it costs was frozen when it was minted.
            if let Some((open, price)) = open.zip(Msat::new(pending.ticket.price_msat)) {
                let offered = offered_again(pending, &open.bolt11, open.expires, price);
                request.service.metrics.challenge_again();
                return Ok(self.payment_required(request, &order, rejected.why, &offered));
            }
            // Where payments are detected, it is certain by now that this one wasn't paid.
            let may_be_paid = self.payments.is_none() && pending.invoice_expires > UnixTime::now();
            if rejected.claims_payment() && may_be_paid {
                return Err(problems::no_second_invoice(rejected.why));
            }
        }
        let order = if sold.is_some() { validate::for_sale(request)? } else { order };
        let (price, segments) = validate::priced(request.offer, &order)?;
        self.refuse_unless_sold_to(request, &order).await?;
        let bound = request.digest(&self.ring, &order);
        let bought = Bought { bound, price: price.msat, segments };
        let minted = self.mint(request, request.client, bought, log).await?;
        log.ticket(minted.invoice.payment_hash);
        request.service.metrics.challenge(minted.price);
        let offered = newly_offered(&minted);
        Ok(self.payment_required(request, &order, rejected.why, &offered))
    }

    /// `Err` if nothing is sold to the number that an order names.
    async fn refuse_unless_sold_to(
        &self,
        request: &PaidRequest<'_>,
        order: &Order,
    ) -> Result<(), Problem> {
        let (service, offer) = (request.service, request.offer);
        refuse_unless_sold_to(service, offer, &self.ring, &self.ledger, order).await
    }

    /// The 402. `why` says what is wrong with what was handed in.
    fn payment_required(
        &self,
        request: &PaidRequest<'_>,
        order: &Order,
        why: Code,
        offered: &Offered<'_>,
    ) -> Answer {
        payment_required(request, Some(order), why, offered)
    }

    /// Whether a challenge is remembered here as open.
    pub fn is_open_here(&self, challenge: &PaymentHash) -> bool {
        self.unpaid.pending(challenge, Instant::now()).is_some()
    }

    /// Whether a service would sell now, and to more than a few on trial.
    pub fn sells(&self, service: &Service) -> bool {
        self.refuse_if_down(service).is_ok() && service.upstream.sale_stop.why().is_none()
    }

    /// How many challenges are open.
    pub fn unpaid(&self) -> usize {
        self.unpaid.count(Instant::now())
    }

    /// Other limits of unpaid challenges, from here on.
    pub fn limit(&self, per_client: usize, total: usize) {
        self.unpaid.limit(per_client, total);
    }

    /// Sells what another catalogue has, from here on: invoices of other prices are let go.
    pub fn open(&self, catalogue: &Catalogue) {
        self.stocks.open(&catalogue.services);
        self.probed.retain(&catalogue.services);
    }

    /// How many invoices of a service are made ahead, and how many ran out unsold; `None` where
    /// none are made.
    pub fn stock(&self, service: &Service) -> Option<(usize, u64)> {
        self.stocks.counts(service)
    }

    /// Keeps a service's stock of invoices for as long as it is polled, and sold. Returns at once
    /// where there is none.
    pub async fn keep_stock(&self, service: &Arc<Service>) {
        self.stocks.keep(service).await;
    }
}

/// A challenge that its holder has seen.
fn offered_again<'a>(
    pending: &'a Pending,
    invoice: &'a str,
    expires: UnixTime,
    price: Msat,
) -> Offered<'a> {
    Offered {
        macaroon: &pending.macaroon,
        invoice,
        hash: pending.hash,
        which: WhichInvoice::Own,
        expires,
        price,
        kind: pending.ticket.kind,
        valid_until: pending.ticket.minted_valid_until,
        detail: None,
    }
}

/// A challenge that nobody has seen yet.
fn newly_offered(minted: &NewChallenge) -> Offered<'_> {
    Offered {
        macaroon: &minted.macaroon,
        invoice: &minted.invoice.bolt11,
        hash: minted.invoice.payment_hash,
        which: WhichInvoice::New,
        expires: minted.expires,
        price: minted.price,
        kind: minted.kind,
        valid_until: minted.valid_until,
        detail: None,
    }
}
