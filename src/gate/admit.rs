//! Whether a request brings a ticket: genuine, paid, for this service, and bought for this request
//! or for another.

use std::borrow::Cow;
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

use super::{Gate, challenge, invoice_state};
use crate::answer;
use crate::code::Code;
use crate::keys::Keys;
use crate::l402::credential::{self, Credential, Handed, Proof};
use crate::l402::verify::{self, Genuine, Kind, Paid, Refusal};
use crate::order::Order;
use crate::order::digest::{self, Bound};
use crate::service::{Offer, Sells, Service};

/// Names an exact credential for an exact service in the cache of verified ones.
pub type CacheKey = [u8; 32];

/// What a request comes with.
pub enum Admitted {
    /// No ticket that opens anything: it is offered one.
    Buyer(Buyer),
    /// A paid ticket of ours, for one request.
    Holder(VerifiedTicket),
    /// A paid pass of ours.
    Passenger(VerifiedPass),
}

/// Somebody to sell to.
pub struct Buyer {
    /// Why what it handed in doesn't do.
    pub why: Code,
    /// The challenge that it handed back unpaid, if it is for this very request.
    pub pending: Option<Pending>,
}

/// A genuine challenge that is not paid yet.
pub struct Pending {
    /// What it says.
    pub ticket: Genuine,
    /// The macaroon as its holder has it.
    pub macaroon: Vec<u8>,
}

/// A ticket that was verified against this request. Only this module makes one.
pub struct VerifiedTicket {
    paid: Paid,
    request: [u8; 32],
    own_request: bool,
}

/// A pass that was verified. Only this module makes one.
pub struct VerifiedPass {
    paid: Paid,
    uses: Option<u32>,
}

impl VerifiedPass {
    /// What it says.
    pub fn ticket(&self) -> &Genuine {
        self.paid.ticket()
    }

    /// How many uses it has, if they are counted.
    pub fn uses(&self) -> Option<u32> {
        self.uses
    }
}

impl VerifiedTicket {
    /// What it says.
    pub fn ticket(&self) -> &Genuine {
        self.paid.ticket()
    }

    /// Digest of the request that it was bought for.
    pub fn request(&self) -> [u8; 32] {
        self.request
    }

    /// Whether it was bought for the request that it came with.
    pub fn is_for_this_request(&self) -> bool {
        self.own_request
    }
}

/// Looks at everything that was handed in, and takes the best of it.
pub fn admit(
    gate: &Gate,
    service: &Service,
    offer: &Offer,
    headers: &HeaderMap,
    order: &Order,
) -> Admitted {
    let macaroon_lines =
        ["macaroon", "grpc-metadata-macaroon"].into_iter().flat_map(|name| headers.get_all(name));
    let handed = credential::read(
        headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes),
        macaroon_lines.map(HeaderValue::as_bytes),
    );
    let credentials = match handed {
        Handed::Nothing => {
            return Admitted::Buyer(Buyer { why: Code::PaymentRequired, pending: None });
        }
        Handed::Unreadable => {
            return Admitted::Buyer(Buyer { why: Code::TicketUnreadable, pending: None });
        }
        Handed::Credentials(credentials) => credentials,
    };
    let (mut for_another, mut refused): (Option<VerifiedTicket>, Option<Buyer>) = (None, None);
    for credential in credentials {
        match verified(gate, service, offer, &credential) {
            Ok(paid) => match paid.ticket().kind {
                Kind::Pass { uses } => return Admitted::Passenger(VerifiedPass { paid, uses }),
                Kind::SingleUse { request } => {
                    let own_request = is_for(gate, service, offer, order, paid.ticket());
                    let ticket = VerifiedTicket { paid, request, own_request };
                    if own_request {
                        return Admitted::Holder(ticket);
                    }
                    for_another.get_or_insert(ticket);
                }
            },
            Err(refusal) => {
                let pending = match refusal {
                    Refusal::NotPaid(ticket) if is_for(gate, service, offer, order, &ticket) => {
                        Some(Pending { ticket, macaroon: credential.macaroon })
                    }
                    _ => None,
                };
                if refused
                    .as_ref()
                    .is_none_or(|before: &Buyer| before.pending.is_none() && pending.is_some())
                {
                    refused = Some(Buyer { why: code(&refusal), pending });
                }
            }
        }
    }
    match (for_another, refused) {
        (Some(ticket), _) => Admitted::Holder(ticket),
        (None, Some(buyer)) => Admitted::Buyer(buyer),
        (None, None) => Admitted::Buyer(Buyer { why: Code::PaymentRequired, pending: None }),
    }
}

/// Where the service allows it, takes the node's word instead of the preimage of who handed in a
/// macaroon alone.
pub async fn paid_meanwhile(
    gate: &Gate,
    service: &Service,
    offer: &Offer,
    order: &Order,
    admitted: Admitted,
) -> Result<Admitted, answer::Answer> {
    let (pending, payments) = match (admitted, &gate.payments) {
        (Admitted::Buyer(Buyer { pending: Some(pending), why }), Some(payments))
            if offer.without_preimage =>
        {
            ((pending, why), payments)
        }
        (admitted, _) => return Ok(admitted),
    };
    let (Pending { ticket, macaroon }, why) = pending;
    // Who would be given a new invoice has certainly not paid the old one.
    let for_certain = gate.unpaid.pending(&ticket.payment_hash, Instant::now()).is_none();
    match invoice_state::preimage(
        gate,
        payments,
        ticket.payment_hash,
        challenge::expires(gate, offer, &ticket),
        for_certain,
    )
    .await
    {
        Ok(None) => Ok(Admitted::Buyer(Buyer { why, pending: Some(Pending { ticket, macaroon }) })),
        Ok(Some(preimage)) => {
            let credential = Credential { macaroon, proof: Proof::Preimage(preimage) };
            Ok(match verified(gate, service, offer, &credential) {
                Ok(paid) => match paid.ticket().kind {
                    Kind::Pass { uses } => Admitted::Passenger(VerifiedPass { paid, uses }),
                    Kind::SingleUse { request } => {
                        let own_request = is_for(gate, service, offer, order, paid.ticket());
                        Admitted::Holder(VerifiedTicket { paid, request, own_request })
                    }
                },
                Err(refusal) => Admitted::Buyer(Buyer { why: code(&refusal), pending: None }),
            })
        }
        Err(why) => Err(challenge::unsure(&why)),
    }
}

fn verified(
    gate: &Gate,
    service: &Service,
    offer: &Offer,
    credential: &Credential,
) -> Result<Paid, Refusal> {
    let key = cache_key(&service.name, credential);
    if let Some(paid) = gate.verified.get(&key) {
        return Ok(paid);
    }
    let paid =
        verify::ticket(&gate.ring, &service.name, offer.sells != Sells::SingleUse, credential)?;
    gate.verified.insert(key, paid, 1);
    gate.unpaid.redeemed(&paid.ticket().payment_hash, Instant::now());
    Ok(paid)
}

/// A caveat more is another text, and so another key: what was verified for one says nothing of the
/// other.
fn cache_key(service: &str, credential: &Credential) -> CacheKey {
    let mut hash = Sha256::new();
    for part in [service.as_bytes(), &credential.macaroon] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    match &credential.proof {
        Proof::Preimage(preimage) => hash.update(preimage.as_bytes()),
        Proof::None => hash.update([0]),
        Proof::Unreadable => hash.update([1]),
    }
    hash.finalize().into()
}

/// Whether an order is what a ticket was bought for. A pass is for any.
fn is_for(gate: &Gate, service: &Service, offer: &Offer, order: &Order, ticket: &Genuine) -> bool {
    match ticket.kind {
        Kind::Pass { .. } => true,
        Kind::SingleUse { request } => gate
            .ring
            .all()
            .nth(ticket.key)
            .is_some_and(|keys| request_digest(keys, service, offer, order) == request),
    }
}

/// What binds a ticket to an order at a service.
pub fn request_digest(keys: &Keys, service: &Service, offer: &Offer, order: &Order) -> [u8; 32] {
    let path = match order.query() {
        Some(query) => Cow::from(format!("{}?{query}", service.path)),
        None => Cow::from(&service.path),
    };
    let bound = Bound {
        service: &service.name,
        method: service.method.as_str(),
        path: &path,
        content_type: offer.rules.content_type(),
        body: order.body(),
    };
    digest::digest(keys.digest_key(), &bound)
}

fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Unreadable => Code::TicketUnreadable,
        Refusal::Forged => Code::TicketForged,
        Refusal::OtherService => Code::TicketForAnotherService,
        Refusal::Caveats => Code::TicketCaveats,
        Refusal::NotPaid(_) => Code::TicketNotPaid,
        Refusal::WrongPreimage => Code::WrongPreimage,
    }
}

/// A paid ticket that was bought for another request, and never handed in: no second sale, the
/// payer still has this one.
pub fn for_another_request() -> answer::Answer {
    let detail = "This ticket was bought for another request. Send exactly the request that you \
                  asked the price for, with this ticket; \
                  it stays valid. To send this request instead, ask for its own price without a \
                  ticket.";
    answer::Problem::new(StatusCode::UNPROCESSABLE_ENTITY, Code::TicketForAnotherRequest, detail)
        .retry(answer::Retry::SameTicket)
        .into_answer()
}
