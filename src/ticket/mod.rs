//! What a client hands in, verified: genuine, paid, for this service, and bound to this request or
//! to another. The one place that verifies credentials.

pub mod verify;

use std::sync::Arc;

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use self::verify::Verifier;
use crate::code::Code;
use crate::keys::{KeyIndex, KeyRing};
use crate::l402::credential::{self, Credential, Handed, Proof};
use crate::l402::mint;
use crate::l402::verify::{Genuine, Kind, Paid, Refusal};
use crate::payment_hash::{PaymentHash, Preimage};
use crate::request_digest::RequestDigest;
use crate::service::request::PaidRequest;
use crate::service::times::TicketTimes;
use crate::service::{Offer, Service};
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

    /// Without a challenge that could be paid yet.
    pub fn because(why: Code) -> Self {
        Self { why, pending: None }
    }
}

/// A genuine challenge of which nobody has shown that it is paid.
pub struct Pending {
    /// The payment that it waits for.
    pub hash: PaymentHash,
    /// Till when its invoice can be paid, by its own word.
    pub invoice_expires: UnixTime,
    /// The macaroon as its holder has it, but for a wrong preimage in it.
    pub macaroon: Vec<u8>,
}

/// A ticket that was verified against this request. Only this module makes one.
pub struct VerifiedTicket {
    paid: Paid,
    request: RequestDigest,
    is_own_request: bool,
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

    /// Whether it was bought for the request that it came with.
    pub fn is_for_this_request(&self) -> bool {
        self.is_own_request
    }
}

/// A ticket of ours that somebody holds, paid or not, whatever it was bought for.
pub struct HeldTicket {
    /// The service that it is for.
    pub service: Arc<Service>,
    /// What it says.
    pub ticket: Genuine,
    /// What it costs today, in msat.
    pub price_msat: u64,
    /// Till when its invoice can be paid, by its own word.
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

    /// Looks at everything that a request hands in, and takes the best of it.
    pub fn present(&self, request: &PaidRequest<'_>, times: &TicketTimes) -> Presented {
        let credentials = match handed_in(&request.head.headers) {
            Handed::Nothing => return Presented::Nothing(Rejected::because(Code::PaymentRequired)),
            Handed::Unreadable => {
                return Presented::Nothing(Rejected::because(Code::TicketUnreadable));
            }
            Handed::Credentials(credentials) => credentials,
        };
        let (mut for_another, mut rejected) = (None, None::<Rejected>);
        for credential in credentials {
            match self.verified(request, &credential) {
                Ok(Verified::Pass(pass)) => return Presented::Pass(pass),
                Ok(Verified::Ticket(ticket)) if ticket.is_own_request => {
                    return Presented::Ticket(ticket);
                }
                Ok(Verified::Ticket(ticket)) => drop(for_another.get_or_insert(ticket)),
                Err(refusal) => {
                    let pending = self.pending(request, times, &refusal, &credential.macaroon);
                    let is_better =
                        |before: &Rejected| before.pending.is_none() && pending.is_some();
                    if rejected.as_ref().is_none_or(is_better) {
                        rejected = Some(Rejected { why: code(&refusal), pending });
                    }
                }
            }
        }
        match (for_another, rejected) {
            (Some(ticket), _) => Presented::Ticket(ticket),
            (None, Some(rejected)) => Presented::Nothing(rejected),
            (None, None) => Presented::Nothing(Rejected::because(Code::PaymentRequired)),
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
    pub fn held(
        &self,
        services: &[Arc<Service>],
        times: &TicketTimes,
        headers: &HeaderMap,
    ) -> Result<HeldTicket, NotHeld> {
        let Handed::Credentials(credentials) = handed_in(headers) else {
            return Err(NotHeld::Nothing);
        };
        let genuine = |credential| {
            services.iter().find_map(|service| {
                let offer = service.offer.as_ref()?;
                self.genuine(service, offer, times, credential)
            })
        };
        credentials.iter().find_map(genuine).ok_or(NotHeld::Foreign)
    }

    fn genuine(
        &self,
        service: &Arc<Service>,
        offer: &Offer,
        times: &TicketTimes,
        credential: &Credential,
    ) -> Option<HeldTicket> {
        let ticket = match self.verifier.verify(&service.name, offer.kind, credential) {
            Ok(paid) => *paid.ticket(),
            // It may be paid all the same, and its holder asks.
            Err(
                Refusal::NotPaid(ticket)
                | Refusal::WrongPreimage(ticket)
                | Refusal::UnreadablePreimage(ticket),
            ) => ticket,
            Err(_) => return None,
        };
        Some(HeldTicket {
            service: Arc::clone(service),
            ticket,
            price_msat: offer.price.get(),
            invoice_expires: times.invoice_expires(offer.kind, ticket.minted_valid_until),
        })
    }

    fn verified(
        &self,
        request: &PaidRequest<'_>,
        credential: &Credential,
    ) -> Result<Verified, Refusal> {
        let kind = request.offer.kind;
        let paid = self.verifier.verify(&request.service.name, kind, credential)?;
        Ok(match paid.ticket().kind {
            Kind::Pass { uses } => Verified::Pass(VerifiedPass { paid, uses }),
            Kind::SingleUse { request: bound } => Verified::Ticket(VerifiedTicket {
                is_own_request: self.is_bound_to(request, paid.ticket().key, bound),
                paid,
                request: bound,
            }),
        })
    }

    /// A genuine challenge that was handed back without its preimage, with the request that it is
    /// for. A pass is for any.
    fn pending(
        &self,
        request: &PaidRequest<'_>,
        times: &TicketTimes,
        refusal: &Refusal,
        macaroon: &[u8],
    ) -> Option<Pending> {
        let (Refusal::NotPaid(ticket)
        | Refusal::WrongPreimage(ticket)
        | Refusal::UnreadablePreimage(ticket)) = refusal
        else {
            return None;
        };
        let is_for_this = match ticket.kind {
            Kind::Pass { .. } => true,
            Kind::SingleUse { request: bound } => self.is_bound_to(request, ticket.key, bound),
        };
        if !is_for_this {
            return None;
        }
        Some(Pending {
            hash: ticket.payment_hash,
            invoice_expires: times.invoice_expires(request.offer.kind, ticket.minted_valid_until),
            macaroon: mint::payable(self.verifier.ring(), ticket.key, macaroon)?,
        })
    }

    fn is_bound_to(&self, request: &PaidRequest<'_>, key: KeyIndex, bound: RequestDigest) -> bool {
        request.has_digest(self.verifier.ring(), key, bound)
    }
}

enum Verified {
    Ticket(VerifiedTicket),
    Pass(VerifiedPass),
}

fn handed_in(headers: &HeaderMap) -> Handed {
    let authorization = headers.get_all(AUTHORIZATION).iter();
    let names = ["macaroon", "grpc-metadata-macaroon"];
    let macaroon_lines = names.into_iter().flat_map(|name| headers.get_all(name));
    let bytes = HeaderValue::as_bytes;
    credential::read(authorization.map(bytes), macaroon_lines.map(bytes))
}

fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Unreadable => Code::TicketUnreadable,
        Refusal::Forged => Code::TicketForged,
        Refusal::OtherService => Code::TicketForAnotherService,
        Refusal::Caveats => Code::TicketCaveats,
        Refusal::NotPaid(_) => Code::TicketNotPaid,
        Refusal::WrongPreimage(_) => Code::WrongPreimage,
        Refusal::UnreadablePreimage(_) => Code::PreimageUnreadable,
    }
}
