//! The 402: what is offered, for machines in the header field and for people in the body.

use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use serde::Serialize;

use super::curl;
use crate::answer::problem::{Charged, Members, WithMembers};
use crate::answer::why_to_pay::{WhichInvoice, why_to_pay};
use crate::answer::{self, Answer};
use crate::code::Code;
use crate::l402::challenge::www_authenticate;
use crate::l402::credential::encode_base64;
use crate::l402::verify::Kind;
use crate::order::Order;
use crate::payment_hash::PaymentHash;
use crate::price::Msat;
use crate::service::request::PaidRequest;
use crate::time::UnixTime;

/// What a 402 offers.
pub(super) struct Offered<'a> {
    /// The macaroon, in binary.
    pub(super) macaroon: &'a [u8],
    /// BOLT 11 text.
    pub(super) invoice: &'a str,
    /// Payment hash of the invoice.
    pub(super) hash: PaymentHash,
    /// Whose invoice it is.
    pub(super) which: WhichInvoice,
    /// Until when the invoice can be paid.
    pub(super) expires: UnixTime,
    /// What the ticket costs.
    pub(super) price: Msat,
    /// What its payment buys.
    pub(super) kind: Kind,
    /// Until when the ticket is worth something, in Unix seconds.
    pub(super) valid_until: u64,
}

/// What a 402 offers, as its body says it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChallengeBody<'a> {
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

/// The 402. `why` says what is wrong with what was handed in.
pub(super) fn payment_required(
    request: &PaidRequest<'_>,
    order: &Order,
    public_url: Option<&str>,
    why: Code,
    offered: &Offered<'_>,
) -> Answer {
    let (status, detail, retry) = (why.status(), why_to_pay(why, offered.which), why.retry());
    let members = Members { status, code: why, detail, charged: Charged::No, retry };
    let token = encode_base64(offered.macaroon);
    let (pass_until, pass_uses) = match offered.kind {
        Kind::Pass { uses } => (Some(offered.valid_until), uses),
        Kind::SingleUse { .. } => (None, None),
    };
    let body = ChallengeBody {
        macaroon: &token,
        invoice: offered.invoice,
        payment_hash: offered.hash.to_string(),
        price_sats: offered.price.sat(),
        price_msat: offered.price.get(),
        expires_at: offered.expires.seconds(),
        service: &request.service.name,
        next: curl::third_step(request, order, public_url, &token),
        pass_until,
        pass_uses,
    };
    // Not problem+json: some clients look for this type.
    let mut response =
        answer::json(status, "application/json", &WithMembers { members, more: body });
    if let Ok(line) = HeaderValue::from_str(&www_authenticate(&token, offered.invoice)) {
        response.headers_mut().insert(WWW_AUTHENTICATE, line);
    }
    Answer { response, code: why }
}
