//! A new challenge: a place among the unpaid, an invoice, and the macaroon over it.

use std::sync::Arc;
use std::time::Instant;

use tracing::error;

use super::Sale;
use super::availability::stopped;
use super::challenge::{Bought, NewChallenge};
use super::invoices::ReadyInvoice;
use super::unpaid_limit::{OpenInvoice, Reservation};
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::client::Client;
use crate::l402::identifier::TokenId;
use crate::l402::mint;
use crate::l402::verify::Kind;
use crate::ledger::accounts::{JournalEntry, Minted};
use crate::lightning::Invoice;
use crate::lightning::error::NodeErrorKind;
use crate::price::Msat;
use crate::record::request_log::RequestLog;
use crate::service::TicketKind;
use crate::service::request::PaidRequest;
use crate::time::UnixTime;

impl Sale {
    /// A place for one more challenge, after a pause where there are few.
    async fn reserve(
        &self,
        request: &PaidRequest<'_>,
        client: &Client,
        log: &mut RequestLog<'_>,
    ) -> Result<Reservation<'_>, Problem> {
        let asked = Instant::now();
        let place = match self.unpaid.reserve(client, asked) {
            Ok(place) if place.pause().is_zero() => return Ok(place),
            Ok(place) => {
                tokio::time::sleep(place.pause()).await;
                // Much may have happened since it was looked last.
                self.refuse_if_down(request.service).map(|()| place)
            }
            Err(limit_reached) => {
                self.unpaid.delay().await;
                Err(problems::too_many_unpaid(limit_reached.0))
            }
        };
        log.delay(asked.elapsed());
        place
    }

    /// An invoice that was made ahead, or one that the node makes now.
    async fn invoice(
        &self,
        request: &PaidRequest<'_>,
        price: Msat,
        mut place: Reservation<'_>,
    ) -> Result<(Invoice, UnixTime), Problem> {
        place.asking();
        let ahead = self.stocks.take(&request.service.name, request.offer, price);
        request.service.metrics.stock(ahead.is_some());
        let made = match ahead {
            Some(ready) => Ok(ready),
            None => self.invoices.make(request.offer, price).await,
        };
        match made {
            Ok(ReadyInvoice { invoice, expires, until, .. }) => {
                let bolt11 = invoice.bolt11.as_str().into();
                place.fill(invoice.payment_hash, OpenInvoice { bolt11, expires, until });
                Ok((invoice, expires))
            }
            Err(no_invoice) => {
                if !no_invoice.may_exist {
                    place.give_up();
                }
                Err(match no_invoice.error.kind() {
                    NodeErrorKind::Busy => problems::too_many_invoices_at_once(),
                    _ => problems::no_invoice(),
                })
            }
        }
    }

    /// An invoice of the node's, and the macaroon over it. It counts for `client`.
    pub(super) async fn mint(
        &self,
        request: &PaidRequest<'_>,
        client: &Client,
        bought: Bought,
        log: &mut RequestLog<'_>,
    ) -> Result<NewChallenge, Problem> {
        let Bought { bound, price, segments } = bought;
        let place = self.reserve(request, client, log).await?;
        let (stop, now) = (&request.service.upstream.sale_stop, tokio::time::Instant::now());
        let trial = stop.take_challenge(client.key(), now);
        let trial = trial.map_err(|pause| stopped(stop, pause))?;
        let (invoice, expires) = self.invoice(request, price, place).await?;
        trial.sold(tokio::time::Instant::now());
        let (times, offer) = (&request.catalogue.times, request.offer);
        let minted = self.ledger.now();
        // By the later of the two clocks, so that the ledger refuses nothing that is sold.
        let payable_until = expires.max(minted.ledger.plus(times.invoice_expiry));
        let valid_until = payable_until.plus(times.life(offer.kind)).seconds();
        self.ledger.append(JournalEntry::Minted(Minted {
            hash: invoice.payment_hash,
            service: Arc::clone(&request.service.name),
            price_msat: price.get(),
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
        let era = self.ledger.life().ok_or_else(problems::no_sale_ledger_down)?.era;
        let kind = match offer.kind {
            TicketKind::SingleUse => Kind::SingleUse { request: bound },
            TicketKind::Pass { uses, .. } => Kind::Pass { uses },
        };
        let terms = mint::Ticket {
            service: &request.service.name,
            payment_hash: invoice.payment_hash,
            token_id: TokenId { minted: minted.later(), era, random },
            valid_until,
            price_msat: price.get(),
            segments,
            kind,
        };
        let macaroon = mint::ticket(&self.ring, &terms);
        Ok(NewChallenge { invoice, macaroon, expires, kind, price, valid_until })
    }
}
