//! The sale: price, guard, invoice, 402. What can't be delivered isn't sold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{StatusCode, Version};
use serde::Serialize;
use tracing::error;

use super::admit::{Buyer, Pending, request_digest};
use super::guard::{OpenInvoice, Reservation};
use super::invoice_state::{self, Left, Unsure};
use super::stock::{self, Fresh};
use super::{Gate, Notes, paid, route};
use crate::answer::{self, Answer, Members, Problem, Retry, WithMembers};
use crate::client::{self, Client, Peer};
use crate::code::Code;
use crate::l402::challenge::www_authenticate;
use crate::l402::credential::encode_base64;
use crate::l402::mint;
use crate::l402::verify::{Genuine, Kind};
use crate::ledger::accounts::{Entry, Minted};
use crate::lightning::{Invoice, Trouble};
use crate::order::Order;
use crate::payment_hash::PaymentHash;
use crate::service::{Offer, Sells, Service};
use crate::time::UnixTime;

/// How soon a client should come back when something is down.
const SOON: Duration = Duration::from_secs(5);

/// A checked request at a paid service.
#[derive(Clone, Copy)]
pub struct Sale<'a> {
    /// What requests share.
    pub gate: &'a Arc<Gate>,
    /// The service.
    pub service: &'a Arc<Service>,
    /// What it sells.
    pub offer: &'a Offer,
    /// What is to be bought.
    pub order: &'a Order,
    /// The request's head.
    pub head: &'a Parts,
    /// The other end of the connection.
    pub peer: &'a Peer,
    /// The client's address.
    pub client: &'a Client,
}

/// Offers a ticket: a new one, or the same pending one again to who holds it.
pub async fn sell(sale: &Sale<'_>, buyer: Buyer, notes: &mut Notes<'_>) -> Result<Answer, Answer> {
    refuse_if_down(sale)?;
    if let Some(Pending { ticket, macaroon }) = &buyer.pending {
        notes.ticket = Some(ticket.payment_hash);
        if let Some(open) = still_open(sale, ticket).await? {
            let offered = Offered {
                macaroon,
                invoice: &open.bolt11,
                hash: ticket.payment_hash,
                expires: open.expires,
            };
            return Ok(payment_required(sale, buyer.why, &offered));
        }
    }
    let (invoice, macaroon, expires) = mint(sale, notes).await?;
    notes.ticket = Some(invoice.payment_hash);
    sale.service.metrics.challenge(sale.offer.price);
    let offered = Offered {
        macaroon: &macaroon,
        invoice: &invoice.bolt11,
        hash: invoice.payment_hash,
        expires,
    };
    Ok(payment_required(sale, buyer.why, &offered))
}

/// The invoice that a pending challenge is paid by: as it is remembered here or, where it was sold
/// before a restart or by another instance, as the node has it. `Err` where it was paid, or may
/// have been.
async fn still_open(sale: &Sale<'_>, ticket: &Genuine) -> Result<Option<OpenInvoice>, Answer> {
    let (gate, hash) = (sale.gate, ticket.payment_hash);
    if let Some(open) = gate.unpaid.pending(&hash, Instant::now()) {
        return Ok(Some(open));
    }
    let Some(payments) = &gate.payments else { return Ok(None) };
    match invoice_state::left(gate, payments, hash, expires(gate, sale.offer, ticket)).await {
        Ok(Left::Open { bolt11, expires }) => {
            let left = expires.since(UnixTime::now()).unwrap_or_default();
            Ok(Some(OpenInvoice { bolt11: bolt11.into(), expires, until: Instant::now() + left }))
        }
        Ok(Left::Over) => Ok(None),
        // Paid since it was looked a moment ago.
        Ok(Left::Paid(_)) if sale.offer.without_preimage => Err(unsure(&Unsure::Node)),
        Ok(Left::Paid(_)) => {
            let detail = "The invoice of this ticket is paid. Send the same request again with \
                          the preimage, which your wallet shows; \
                          /l402/status tells it to who holds the macaroon.";
            let problem =
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::PreimageMissing, detail);
            Err(problem.retry(Retry::SameTicket).into_answer())
        }
        Err(why) => Err(unsure(&why)),
    }
}

/// Perhaps it was paid: nobody is asked to pay again.
pub(super) fn unsure(why: &Unsure) -> Answer {
    match why {
        Unsure::Ledger => paid::ledger_down(),
        Unsure::Node => {
            let detail = "Whether this was paid can't be found out at the moment. Send the same \
                          request again later, or with the preimage.";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, Code::NodeDown, detail);
            problem.retry(Retry::SameTicket).after(SOON).into_answer()
        }
    }
}

fn refuse_if_down(sale: &Sale<'_>) -> Result<(), Answer> {
    let gate = sale.gate;
    let refuse = |code, detail: &str| Err(unavailable(code, detail).into_answer());
    if gate.ledger.health().is_err() {
        return refuse(
            Code::LedgerDown,
            "The record of tickets can't be written at the moment, so nothing is sold.",
        );
    }
    if sale.service.upstream.health.is_down() {
        return refuse(
            Code::UpstreamDown,
            "The service behind this gate does not answer at the moment, so nothing is sold.",
        );
    }
    let is_down = match gate.node.state() {
        Ok(()) => false,
        // Invoices that are there needn't be waited for.
        Err(Trouble::Slow(_)) => !sale.offer.stock.has_some(gate.node.generation(), Instant::now()),
        Err(_) => true,
    };
    if is_down {
        return refuse(
            Code::NodeDown,
            "No invoices can be made at the moment, so nothing is sold. Paid tickets are still \
             redeemed.",
        );
    }
    Ok(())
}

fn unavailable(code: Code, detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry(Retry::NewTicket).after(SOON)
}

/// A place for one more challenge, after a pause where there are few.
async fn reserve<'a>(sale: &Sale<'a>, notes: &mut Notes<'_>) -> Result<Reservation<'a>, Answer> {
    let (unpaid, asked) = (&sale.gate.unpaid, Instant::now());
    let place = match unpaid.reserve(client::key(sale.client.address()), asked) {
        Ok(place) if place.pause().is_zero() => return Ok(place),
        Ok(place) => {
            tokio::time::sleep(place.pause()).await;
            // Much may have happened since it was looked last.
            refuse_if_down(sale).map(|()| place)
        }
        Err(no_place) => {
            unpaid.put_off().await;
            let detail = "There are too many unpaid invoices. Pay one, or wait until the oldest \
                          has run out.";
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyUnpaid, detail);
            Err(problem.retry(Retry::NewTicket).after(no_place.0).into_answer())
        }
    };
    notes.put_off = asked.elapsed();
    place
}

/// An invoice of the node's, the macaroon over it, and when the invoice runs out.
async fn mint(
    sale: &Sale<'_>,
    notes: &mut Notes<'_>,
) -> Result<(Invoice, Vec<u8>, UnixTime), Answer> {
    let gate = sale.gate;
    let mut place = reserve(sale, notes).await?;
    place.asking();
    let ahead = sale.offer.stock.take(gate.node.generation(), Instant::now());
    sale.service.metrics.stock(ahead.is_some());
    let made = match ahead {
        Some(fresh) => Ok(fresh),
        None => stock::make(gate, sale.offer).await,
    };
    let Fresh { invoice, expires, until, .. } = match made {
        Ok(fresh) => fresh,
        Err(no_invoice) => {
            if !no_invoice.may_exist {
                place.give_up();
            }
            let busy = no_invoice.trouble == Trouble::Busy;
            let (code, detail) = if busy {
                (Code::TooBusy, "Too many invoices are being asked for at once.")
            } else {
                (
                    Code::NodeDown,
                    "No invoice could be made, so nothing is sold. Paid tickets are still \
                     redeemed.",
                )
            };
            return Err(unavailable(code, detail).into_answer());
        }
    };
    place.fill(
        invoice.payment_hash,
        OpenInvoice { bolt11: invoice.bolt11.as_str().into(), expires, until },
    );
    let valid_until = expires.plus(life(gate, sale.offer)).seconds();
    gate.books.enter(Entry::Minted(Minted {
        hash: invoice.payment_hash,
        service: Arc::clone(&sale.service.name),
        price_msat: sale.offer.price.get(),
        at: UnixTime::now(),
        expires: expires.seconds(),
        valid_until,
    }));
    let mut token_id = [0_u8; 32];
    getrandom::fill(&mut token_id).map_err(|error| {
        error!(%error, "there is no randomness for a ticket");
        unavailable(Code::Internal, "A ticket could not be made.").into_answer()
    })?;
    let kind = match sale.offer.sells {
        Sells::SingleUse => Kind::SingleUse {
            request: request_digest(gate.ring.minting(), sale.service, sale.offer, sale.order),
        },
        Sells::Pass { uses, .. } => Kind::Pass { uses },
    };
    let terms = mint::Ticket {
        service: &sale.service.name,
        payment_hash: invoice.payment_hash,
        token_id,
        valid_until,
        kind,
    };
    Ok((invoice, mint::ticket(&gate.ring, &terms), expires))
}

/// How long a ticket is worth something after its invoice could be paid.
pub(super) fn life(gate: &Gate, offer: &Offer) -> Duration {
    match offer.sells {
        Sells::SingleUse => gate.site.times.lifetime,
        Sells::Pass { time, .. } => time,
    }
}

/// Till when a ticket's invoice can be paid, by its own word: where no row tells, or none yet.
pub(super) fn expires(gate: &Gate, offer: &Offer, ticket: &Genuine) -> UnixTime {
    let expires = UnixTime::from_seconds(ticket.minted_valid_until).minus(life(gate, offer));
    // No invoice of today's can be paid so late: this one is of a time when tickets lived longer.
    let latest = UnixTime::now().plus(gate.site.times.invoice_expiry).plus(Duration::from_secs(60));
    if expires > latest { UnixTime::from_seconds(0) } else { expires }
}

/// What a 402 offers.
struct Offered<'a> {
    macaroon: &'a [u8],
    invoice: &'a str,
    hash: PaymentHash,
    expires: UnixTime,
}

/// The same, as the body of a 402 says it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Terms<'a> {
    macaroon: &'a str,
    invoice: &'a str,
    payment_hash: String,
    price_sats: u64,
    price_msat: u64,
    expires_at: u64,
    service: &'a str,
    next: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pass_uses: Option<u32>,
}

fn payment_required(sale: &Sale<'_>, why: Code, offered: &Offered<'_>) -> Answer {
    let status = StatusCode::PAYMENT_REQUIRED;
    let members =
        Members { status, code: why, detail: detail(why), charged: false, retry: Retry::NewTicket };
    let token = encode_base64(offered.macaroon);
    let (pass_until, pass_uses) = match sale.offer.sells {
        Sells::Pass { time, uses } => (Some(offered.expires.plus(time).seconds()), uses),
        Sells::SingleUse => (None, None),
    };
    let terms = Terms {
        macaroon: &token,
        invoice: offered.invoice,
        payment_hash: offered.hash.to_string(),
        price_sats: sale.offer.price.sat(),
        price_msat: sale.offer.price.get(),
        expires_at: offered.expires.seconds(),
        service: &sale.service.name,
        next: next_command(sale, &token),
        pass_until,
        pass_uses,
    };
    // Not problem+json: some clients look for this type.
    let mut response =
        answer::json(status, "application/json", &WithMembers { members, more: terms });
    if let Ok(line) = HeaderValue::from_str(&www_authenticate(&token, offered.invoice)) {
        response.headers_mut().insert(WWW_AUTHENTICATE, line);
    }
    Answer { response, code: why }
}

fn detail(why: Code) -> &'static str {
    match why {
        Code::TicketUnreadable => {
            "What was handed in is no ticket that can be read. Here is a new one to pay."
        }
        Code::TicketForged => {
            "The ticket that was handed in is not one of this gate's. Here is a new one to pay."
        }
        Code::TicketForAnotherService => {
            "The ticket that was handed in was bought for another service. Here is one for this."
        }
        Code::TicketCaveats => {
            "The ticket that was handed in has restrictions that can't be met here. Here is a new \
             one to pay."
        }
        Code::TicketNotPaid => {
            "The ticket was handed in without a preimage. Pay the invoice, then send the preimage \
             along."
        }
        Code::WrongPreimage => {
            "The preimage is not that of the ticket's own invoice. Look for the right one before \
             you pay again."
        }
        Code::TicketExpired => {
            "The ticket that was handed in has expired. Here is a new one to pay."
        }
        Code::TicketSpent => "The ticket that was handed in is spent. Here is a new one to pay.",
        Code::TicketUsed => {
            "The ticket that was handed in belongs to another request. Here is one for this."
        }
        Code::TicketRevoked => {
            "The ticket that was handed in was revoked. Here is a new one to pay."
        }
        _ => {
            "Pay the invoice, then send the identical request again with `Authorization: L402 \
             <macaroon>:<preimage>`."
        }
    }
}

/// The third step, to be pasted into a shell once PREIMAGE is set. Only the request's own text is
/// quoted; the rest is of safe characters.
fn next_command(sale: &Sale<'_>, token: &str) -> String {
    let url = match sale.order.query() {
        Some(query) => format!("{}?{query}", url(sale)),
        None => url(sale),
    };
    let mut command = format!("curl -sS -X {} {}", sale.service.method, quoted(&url));
    let content_type = sale.offer.rules.content_type();
    if !content_type.is_empty() {
        command.push_str(&format!(" -H 'Content-Type: {content_type}'"));
    }
    command.push_str(&format!(" -H \"Authorization: L402 {token}:$PREIMAGE\""));
    match std::str::from_utf8(sale.order.body()) {
        Ok(body) if !body.is_empty() && !body.contains('\0') => {
            command.push_str(&format!(" --data-binary {}", quoted(body)))
        }
        Ok("") => {}
        _ => command.push_str(" --data-binary @request-body"),
    }
    command
}

/// Single quotes make a POSIX shell take everything as it is, but for the single quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn url(sale: &Sale<'_>) -> String {
    let Parts { uri, headers, version, .. } = sale.head;
    if let Some(public) = &sale.gate.site.public_url {
        return format!("{public}{}", sale.service.path);
    }
    let named = match (
        uri.authority(),
        headers.get(hyper::header::HOST).and_then(|host| host.to_str().ok()),
    ) {
        (Some(authority), _) if *version >= Version::HTTP_2 => authority.as_str(),
        (_, Some(host)) => host,
        (Some(authority), None) => authority.as_str(),
        (None, None) => "localhost",
    };
    // It was read as an authority before; a text that wasn't could not have got here.
    debug_assert!(route::is_authority(named) || named == "localhost");
    let scheme = if sale.peer.tls { "https" } else { "http" };
    format!("{scheme}://{named}{}", sale.service.path)
}
