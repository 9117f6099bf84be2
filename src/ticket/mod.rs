//! What a client hands in, verified: genuine, paid, for this service, and bound to this request or
//! to another. The one place that verifies credentials.

pub mod verify;

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use self::verify::Verifier;
use crate::code::Code;
use crate::keys::KeyRing;
use crate::l402::credential::{self, Credential, Handed, Proof};
use crate::l402::mint;
use crate::l402::verify::{Genuine, Kind, Paid, Refusal, named_service};
use crate::order::Order;
use crate::payment_hash::{PaymentHash, Preimage};
use crate::request_digest::RequestDigest;
use crate::service::request::{PaidRequest, is_of_probe};
use crate::service::{Catalogue, Offer, Service};
use crate::time::UnixTime;

/// What a request comes with.
pub enum Presented {
    /// No ticket that opens anything: it is offered one.
    Nothing(Rejected),
    /// A paid ticket of ours, for one request.
    Ticket(VerifiedTicket),
    /// A paid pass of ours.
    Pass(VerifiedPass),
}

/// What was handed in doesn't do.
pub struct Rejected {
    /// Why.
    pub why: Code,
    /// The challenge that was handed back without its preimage, if it is for this very request.
    pub pending: Option<Pending>,
}

impl Rejected {
    /// Whether something was shown as proof of a payment, which so may have been made.
    pub fn claims_payment(&self) -> bool {
        matches!(self.why, Code::WrongPreimage | Code::PreimageUnreadable)
    }

    /// Which of several counts: the one that may be paid, or is.
    fn rank(&self) -> u8 {
        match (&self.pending, self.why) {
            (Some(_), _) if self.claims_payment() => 3,
            (Some(_), _) => 2,
            (None, Code::PassNotTaken) => 1,
            (None, _) => 0,
        }
    }

    /// Without a challenge that could be paid yet.
    pub fn because(why: Code) -> Self {
        Self { why, pending: None }
    }
}

/// A genuine challenge of which nobody has shown that it is paid.
pub struct Pending {
    /// The payment that it waits for.
    pub hash: PaymentHash,
    /// Until when its invoice can be paid, by its own word.
    pub invoice_expires: UnixTime,
    /// What it says.
    pub ticket: Genuine,
    /// What was sold by it; a pass is for any request, and so is what is shown to all.
    pub order: Option<Order>,
    /// Whether it was shown to all who asked for nothing: then its macaroon says nothing of who has
    /// it.
    pub is_shown_to_all: bool,
    /// The macaroon as its holder has it, but for a wrong preimage in it.
    pub macaroon: Vec<u8>,
}

/// A ticket that was verified against this request. Only this module makes one.
pub struct VerifiedTicket {
    paid: Paid,
    request: RequestDigest,
    /// What was sold by it, if it came with the request that it was bought for.
    order: Option<Order>,
    is_for_any: bool,
    needs_row: bool,
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
    pub fn request(&self) -> RequestDigest {
        self.request
    }

    /// Whether it is worth something for this request only if it was handed in with it before: it
    /// is of a challenge that was shown to all who asked for nothing, and the service doesn't sell
    /// this request today.
    pub fn needs_row(&self) -> bool {
        self.needs_row
    }

    /// Whether its macaroon names no request: it is of a challenge that was shown to all who asked
    /// for nothing, and for the first request that comes with it.
    pub fn is_for_any(&self) -> bool {
        self.is_for_any
    }

    /// What was sold by it; `None` if it came with another request than it was bought for.
    pub fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }
}

/// A ticket of ours that somebody holds, paid or not, whatever it was bought for.
pub struct HeldTicket {
    /// The service that it is for.
    pub service: Arc<Service>,
    /// What it says.
    pub ticket: Genuine,
    /// Until when its invoice can be paid, by its own word.
    pub invoice_expires: UnixTime,
}

/// Why there is no ticket to say something of.
pub enum NotHeld {
    /// Nothing that could be read was handed in.
    Nothing,
    /// None of what was handed in is ours.
    Foreign,
}

/// Verifies what is handed in.
pub struct Tickets {
    verifier: Verifier,
}

impl Tickets {
    /// `on_paid` is called when a ticket is verified as paid for the first time, as far as is
    /// remembered here.
    pub fn new(ring: Arc<KeyRing>, on_paid: impl Fn(&PaymentHash) + Send + Sync + 'static) -> Self {
        Self { verifier: Verifier::new(ring, on_paid) }
    }

    /// Looks at everything that a request hands in, and takes the best of it: all that is paid and
    /// bought for it, since some of that may be spent; else one thing. Never empty.
    pub fn present(&self, request: &PaidRequest<'_>) -> Vec<Presented> {
        let credentials = match handed_in(&request.head.headers) {
            Handed::Nothing => return nothing(Rejected::because(Code::PaymentRequired)),
            Handed::Unreadable => return nothing(Rejected::because(Code::TicketUnreadable)),
            Handed::Credentials(credentials) => credentials,
        };
        let mut paid = Vec::new();
        let (mut for_another, mut rejected) = (None, None::<Rejected>);
        for credential in credentials {
            match self.verified(request, &credential) {
                Ok(Verified::Pass(pass)) => paid.push(Presented::Pass(pass)),
                Ok(Verified::Ticket(ticket)) if ticket.order.is_some() => {
                    paid.push(Presented::Ticket(ticket));
                }
                Ok(Verified::Ticket(ticket)) => drop(for_another.get_or_insert(ticket)),
                Err(refusal) => {
                    let pending = self.pending(request, &refusal, &credential.macaroon);
                    let found = Rejected { why: code(&refusal), pending };
                    if rejected.as_ref().is_none_or(|before| found.rank() > before.rank()) {
                        rejected = Some(found);
                    }
                }
            }
        }
        if !paid.is_empty() {
            return paid;
        }
        match (for_another, rejected) {
            (Some(ticket), _) => vec![Presented::Ticket(ticket)],
            (None, Some(rejected)) => nothing(rejected),
            (None, None) => nothing(Rejected::because(Code::PaymentRequired)),
        }
    }

    /// The same for a challenge whose preimage the node told, instead of its holder.
    pub fn present_paid(
        &self,
        request: &PaidRequest<'_>,
        pending: Pending,
        preimage: Preimage,
    ) -> Presented {
        let proof = Proof::Preimage(preimage);
        match self.verified(request, &Credential { macaroon: pending.macaroon, proof }) {
            Ok(Verified::Pass(pass)) => Presented::Pass(pass),
            Ok(Verified::Ticket(ticket)) => Presented::Ticket(ticket),
            Err(refusal) => Presented::Nothing(Rejected::because(code(&refusal))),
        }
    }

    /// The ticket that somebody asks about, with its preimage or without, at any of the services.
    pub fn held(&self, catalogue: &Catalogue, headers: &HeaderMap) -> Result<HeldTicket, NotHeld> {
        let Handed::Credentials(credentials) = handed_in(headers) else {
            return Err(NotHeld::Nothing);
        };
        let genuine = |credential| {
            let name = named_service(credential)?;
            let is_named = |service: &&Arc<Service>| service.names().all().any(|own| own == name);
            let service = catalogue.services.iter().find(is_named)?;
            let offer = service.offer.as_ref().or(service.shadow.as_ref())?;
            self.genuine(catalogue, service, offer, credential)
        };
        credentials.iter().find_map(genuine).ok_or(NotHeld::Foreign)
    }

    fn genuine(
        &self,
        catalogue: &Catalogue,
        service: &Arc<Service>,
        offer: &Offer,
        credential: &Credential,
    ) -> Option<HeldTicket> {
        let ticket = match self.verifier.verify(service, offer.kind, credential) {
            Ok(paid) => *paid.ticket(),
            // It may be paid all the same, and its holder asks.
            Err(
                Refusal::NotPaid(ticket)
                | Refusal::WrongPreimage(ticket)
                | Refusal::UnreadablePreimage(ticket),
            ) => *ticket,
            Err(_) => return None,
        };
        Some(HeldTicket {
            service: Arc::clone(service),
            ticket,
            invoice_expires: catalogue.times.invoice_expires(ticket.minted),
        })
    }

    fn verified(
        &self,
        request: &PaidRequest<'_>,
        credential: &Credential,
    ) -> Result<Verified, Refusal> {
        let kind = request.offer.kind;
        let paid = self.verifier.verify(request.service, kind, credential)?;
        Ok(match paid.ticket().kind {
            Kind::Pass { uses } => Verified::Pass(VerifiedPass { paid, uses }),
            Kind::SingleUse { request: bound } => {
                let (ring, ticket) = (self.verifier.ring(), paid.ticket());
                let sold = request.sold_by(ring, ticket, bound);
                let by_probe = match sold {
                    None => request.bought_by_probe(ring, ticket, bound),
                    Some(_) => None,
                };
                let is_for_any = by_probe.is_some();
                let (order, request, is_sold) = match by_probe {
                    Some((order, request, is_sold)) => (Some(order), request, is_sold),
                    None => (sold, bound, true),
                };
                let needs_row = !is_sold;
                Verified::Ticket(VerifiedTicket { paid, request, order, is_for_any, needs_row })
            }
        })
    }

    /// A genuine challenge that was handed back without its preimage, with the request that it is
    /// for. A pass is for any.
    fn pending(
        &self,
        request: &PaidRequest<'_>,
        refusal: &Refusal,
        macaroon: &[u8],
    ) -> Option<Pending> {
        let (Refusal::NotPaid(ticket)
        | Refusal::WrongPreimage(ticket)
        | Refusal::UnreadablePreimage(ticket)) = refusal
        else {
            return None;
        };
        let ring = self.verifier.ring();
        let (order, is_shown_to_all) = match ticket.kind {
            Kind::Pass { .. } => (None, false),
            Kind::SingleUse { request: bound } => match request.sold_by(ring, ticket, bound) {
                Some(order) => (Some(order), false),
                None if is_of_probe(request.service, ring, ticket, bound) => (None, true),
                None => return None,
            },
        };
        Some(Pending {
            hash: ticket.payment_hash,
            invoice_expires: request.catalogue.times.invoice_expires(ticket.minted),
            ticket: **ticket,
            order,
            is_shown_to_all,
            macaroon: mint::payable(self.verifier.ring(), ticket.key, macaroon)?,
        })
    }
}

fn nothing(rejected: Rejected) -> Vec<Presented> {
    vec![Presented::Nothing(rejected)]
}

enum Verified {
    Ticket(VerifiedTicket),
    Pass(VerifiedPass),
}

/// The header fields that a macaroon may come in, beside `Authorization`.
const MACAROON_FIELDS: [&str; 2] = ["macaroon", "grpc-metadata-macaroon"];

/// Whether there is a header field in which a ticket may be handed in.
pub fn may_be_handed_in(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION)
        || MACAROON_FIELDS.iter().any(|name| headers.contains_key(*name))
}

/// Whether a header field may hold a ticket.
pub fn is_credential(name: &HeaderName) -> bool {
    name == AUTHORIZATION || MACAROON_FIELDS.contains(&name.as_str())
}

fn handed_in(headers: &HeaderMap) -> Handed {
    let authorization = headers.get_all(AUTHORIZATION).iter();
    let macaroon_lines = MACAROON_FIELDS.into_iter().flat_map(|name| headers.get_all(name));
    let bytes = HeaderValue::as_bytes;
    credential::read(authorization.map(bytes), macaroon_lines.map(bytes))
}

fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Unreadable => Code::TicketUnreadable,
        Refusal::Forged => Code::TicketForged,
        Refusal::OtherService => Code::TicketForAnotherService,
        Refusal::Caveats => Code::TicketCaveats,
        Refusal::PassNotTaken => Code::PassNotTaken,
        Refusal::NotPaid(_) => Code::TicketNotPaid,
        Refusal::WrongPreimage(_) => Code::WrongPreimage,
        Refusal::UnreadablePreimage(_) => Code::PreimageUnreadable,
    }
}
