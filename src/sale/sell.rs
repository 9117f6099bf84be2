//! The sale: price, guard, invoice, 402. What can't be delivered isn't sold.

use std::sync::Arc;
use std::time::Instant;

use tracing::error;

use crate::answer::problem::Problem;
use crate::answer::{Answer, problems};
use crate::code::Code;
use crate::gate::{Gate, RequestLog};
use crate::l402::identifier::TokenId;
use crate::l402::mint;
use crate::l402::verify::Kind;
use crate::ledger::accounts::{JournalEntry, Minted};
use crate::ledger::state::Marks;
use crate::lightning::{Invoice, Trouble};
use crate::order::Order;
use crate::payment::check::{self as invoice_state, InvoiceCheck, Undetermined};
use crate::price::Msat;
use crate::sale::offer::{Offered, payment_required};
use crate::sale::stock::{self, Fresh};
use crate::sale::unpaid_limit::{OpenInvoice, Reservation};
use crate::service::TicketKind;
use crate::service::request::PaidRequest;
use crate::service::validate;
use crate::ticket::{Pending, Rejected};
use crate::time::UnixTime;

/// Offers a ticket: a new one, or the same pending one again to whoever holds it.
pub async fn sell(
    gate: &Arc<Gate>,
    request: &PaidRequest<'_>,
    mut rejected: Rejected,
    log: &mut RequestLog<'_>,
) -> Result<Answer, Problem> {
    if rejected.why == Code::PassNotTaken {
        return Err(problems::pass_not_taken());
    }
    let limits = &gate.catalogue.limits;
    // What was sold before isn't judged again.
    let sold = rejected.pending.as_ref().and_then(|pending| pending.order.clone());
    let order = sold.clone().map_or_else(|| validate::for_sale(request, limits), Ok)?;
    refuse_if_down(gate, request)?;
    let is_revoked = |pending: &&Pending| gate.ledger.is_revoked(&pending.hash);
    if let Some(pending) = rejected.pending.as_ref().filter(is_revoked) {
        // What its payment would buy was taken back: its invoice is not offered again.
        log.ticket = Some(pending.hash);
        rejected = Rejected::because(Code::TicketRevoked);
    }
    if let Some(pending) = &rejected.pending {
        log.ticket = Some(pending.hash);
        let open = still_open(gate, request, pending).await?;
        // Paid by now, it would be parked: what can't be delivered isn't sold.
        if let Some(open) = open.filter(|_| !is_of_another_life(gate, pending)) {
            let offered = Offered {
                macaroon: &pending.macaroon,
                invoice: &open.bolt11,
                hash: pending.hash,
                which: problems::Invoice::Own,
                expires: open.expires,
                price: Msat::new(pending.ticket.price_msat).unwrap_or(request.offer.price),
                kind: pending.ticket.kind,
                valid_until: pending.ticket.minted_valid_until,
            };
            return Ok(payment_required(gate, request, &order, rejected.why, &offered));
        }
        // Where payments are detected, it is certain by now that this one wasn't paid.
        let may_be_paid = gate.payments.is_none() && pending.invoice_expires > UnixTime::now();
        if rejected.claims_payment() && may_be_paid {
            return Err(problems::no_second_invoice(rejected.why));
        }
    }
    let order = if sold.is_some() { validate::for_sale(request, limits)? } else { order };
    let minted = mint(gate, request, &order, log).await?;
    log.ticket = Some(minted.invoice.payment_hash);
    request.service.metrics.challenge(request.offer.price);
    let offered = Offered {
        macaroon: &minted.macaroon,
        invoice: &minted.invoice.bolt11,
        hash: minted.invoice.payment_hash,
        which: problems::Invoice::New,
        expires: minted.expires,
        price: request.offer.price,
        kind: minted.kind,
        valid_until: minted.valid_until,
    };
    Ok(payment_required(gate, request, &order, rejected.why, &offered))
}

fn is_of_another_life(gate: &Gate, pending: &Pending) -> bool {
    let ticket = &pending.ticket;
    let is_counted = !matches!(ticket.kind, Kind::Pass { uses: None });
    let is_another = |life: Marks| life.is_of_another_life(ticket.era, ticket.minted);
    is_counted && gate.ledger.life().is_some_and(is_another)
}

/// The invoice that a pending challenge is paid by: as it is remembered here or, where it was sold
/// before a restart or by another instance, as the node has it. `Err` where it was paid, or may
/// have been.
async fn still_open(
    gate: &Gate,
    request: &PaidRequest<'_>,
    pending: &Pending,
) -> Result<Option<OpenInvoice>, Problem> {
    let open = gate.unpaid.pending(&pending.hash, Instant::now());
    let Some(payments) = &gate.payments else { return Ok(open) };
    let is_paid = invoice_state::is_known_paid(gate, payments, pending.hash).await;
    if let (false, Some(open)) = (is_paid.map_err(Undetermined::problem)?, open) {
        return Ok(Some(open));
    }
    let expires = pending.invoice_expires;
    match invoice_state::check(gate, payments, pending.hash, expires).await {
        Ok(InvoiceCheck::Open { bolt11, expires }) => {
            let left = expires.since(UnixTime::now()).unwrap_or_default();
            let until = Instant::now() + left;
            Ok(Some(OpenInvoice { bolt11: bolt11.into(), expires, until }))
        }
        Ok(InvoiceCheck::Over) => Ok(None),
        // Paid since it was looked a moment ago.
        Ok(InvoiceCheck::Paid(_)) if request.offer.without_preimage => {
            Err(Undetermined::Node.problem())
        }
        Ok(InvoiceCheck::Paid(_)) => Err(problems::preimage_missing()),
        Err(why) => Err(why.problem()),
    }
}

fn refuse_if_down(gate: &Gate, request: &PaidRequest<'_>) -> Result<(), Problem> {
    if gate.ledger.health().is_err() {
        return Err(problems::no_sale_ledger_down());
    }
    if request.service.upstream.health.is_down() {
        return Err(problems::no_sale_upstream_down());
    }
    match gate.node.state() {
        Ok(()) => Ok(()),
        // Invoices that are there needn't be waited for.
        Err(Trouble::Slow(_)) if has_stock(gate, request) => Ok(()),
        Err(_) => Err(problems::no_sale_node_down()),
    }
}

fn has_stock(gate: &Gate, request: &PaidRequest<'_>) -> bool {
    let stock = gate.stocks.of(request.service);
    stock.is_some_and(|stock| !stock.is_empty(gate.node.generation(), Instant::now()))
}

/// A place for one more challenge, after a pause where there are few.
async fn reserve<'a>(
    gate: &'a Gate,
    request: &PaidRequest<'_>,
    log: &mut RequestLog<'_>,
) -> Result<Reservation<'a>, Problem> {
    let asked = Instant::now();
    let place = match gate.unpaid.reserve(request.client.key(), asked) {
        Ok(place) if place.pause().is_zero() => return Ok(place),
        Ok(place) => {
            tokio::time::sleep(place.pause()).await;
            // Much may have happened since it was looked last.
            refuse_if_down(gate, request).map(|()| place)
        }
        Err(no_place) => {
            gate.unpaid.put_off().await;
            Err(problems::too_many_unpaid(no_place.0))
        }
    };
    log.delay = asked.elapsed();
    place
}

/// An invoice that was made ahead, or one that the node makes now.
async fn invoice(
    gate: &Gate,
    request: &PaidRequest<'_>,
    mut place: Reservation<'_>,
) -> Result<(Invoice, UnixTime), Problem> {
    place.asking();
    let stock = gate.stocks.of(request.service);
    let ahead = stock.and_then(|stock| stock.take(gate.node.generation(), Instant::now()));
    request.service.metrics.stock(ahead.is_some());
    let made = match ahead {
        Some(fresh) => Ok(fresh),
        None => stock::make(gate, request.offer).await,
    };
    match made {
        Ok(Fresh { invoice, expires, until, .. }) => {
            let bolt11 = invoice.bolt11.as_str().into();
            place.fill(invoice.payment_hash, OpenInvoice { bolt11, expires, until });
            Ok((invoice, expires))
        }
        Err(no_invoice) => {
            if !no_invoice.may_exist {
                place.give_up();
            }
            Err(match no_invoice.trouble {
                Trouble::Busy => problems::too_many_invoices_at_once(),
                _ => problems::no_invoice(),
            })
        }
    }
}

/// A new challenge.
struct NewChallenge {
    invoice: Invoice,
    macaroon: Vec<u8>,
    /// When the invoice runs out.
    expires: UnixTime,
    kind: Kind,
    /// Unix seconds.
    valid_until: u64,
}

/// An invoice of the node's, and the macaroon over it.
async fn mint(
    gate: &Gate,
    request: &PaidRequest<'_>,
    order: &Order,
    log: &mut RequestLog<'_>,
) -> Result<NewChallenge, Problem> {
    let place = reserve(gate, request, log).await?;
    let (invoice, expires) = invoice(gate, request, place).await?;
    let (times, offer) = (&gate.catalogue.times, request.offer);
    let minted = gate.ledger.now();
    // By the later of the two clocks, so that the ledger refuses nothing that is sold.
    let payable_until = expires.max(minted.ledger.plus(times.invoice_expiry));
    let valid_until = payable_until.plus(times.life(offer.kind)).seconds();
    gate.ledger.append(JournalEntry::Minted(Minted {
        hash: invoice.payment_hash,
        service: Arc::clone(&request.service.name),
        price_msat: offer.price.get(),
        at: minted.wall,
        expires: expires.seconds(),
        valid_until,
        is_pass: offer.kind.is_pass(),
        address: Arc::clone(&request.service.address),
    }));
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| {
        error!(%error, "there is no randomness for a ticket");
        problems::no_ticket_made()
    })?;
    let era = gate.ledger.life().ok_or_else(problems::no_sale_ledger_down)?.era;
    let kind = match offer.kind {
        TicketKind::SingleUse => Kind::SingleUse { request: request.digest(&gate.ring, order) },
        TicketKind::Pass { uses, .. } => Kind::Pass { uses },
    };
    let terms = mint::Ticket {
        service: &request.service.name,
        payment_hash: invoice.payment_hash,
        token_id: TokenId { minted: minted.later(), era, random },
        valid_until,
        price_msat: offer.price.get(),
        kind,
    };
    let macaroon = mint::ticket(&gate.ring, &terms);
    Ok(NewChallenge { invoice, macaroon, expires, kind, valid_until })
}
