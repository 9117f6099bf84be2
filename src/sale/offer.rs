//! The 402: what is offered, for machines in the header field and for people in the body.

use hyper::header::{HeaderValue, LINK, WWW_AUTHENTICATE};

use super::challenge::{ChallengeBody, Offered};
use super::page;
use crate::answer::problem::{Charged, Members, WithMembers};
use crate::answer::why_to_pay::{WhichInvoice, why_to_pay};
use crate::answer::{self, Answer};
use crate::code::{Code, Retry};
use crate::l402::challenge::www_authenticate;
use crate::l402::credential::encode_base64;
use crate::l402::verify::Kind;
use crate::order::Order;
use crate::service::base_url::Reached;
use crate::service::request::PaidRequest;
use crate::service::{STATUS_PATH, curl};

/// What a payer can rely on, for programs that act by words.
const RETRY_POLICY: &str = "Pay this invoice once. Then send the identical request with this \
                            ticket: it is served exactly once, however often you send it. After \
                            409, 429 or 5xx wait for Retry-After and send it again with the same \
                            ticket; do not pay again.";

/// The 402. `why` says what is wrong with what was handed in. `order` is what is asked for, if the
/// ticket is for one request.
pub(super) fn payment_required(
    request: &PaidRequest<'_>,
    order: Option<&Order>,
    why: Code,
    offered: &Offered<'_>,
) -> Answer {
    let PaidRequest { catalogue, service, offer, .. } = *request;
    let base = Reached::by_head(&request.head, request.client);
    let base = base.base_url(catalogue.public_url.as_deref());
    let detail = offered.detail.unwrap_or_else(|| why_to_pay(why, offered.which));
    let status = why.status();
    // Who is shown the ticket's own invoice shouldn't buy another one.
    let retry = match offered.which {
        WhichInvoice::Own => Retry::SameTicket,
        WhichInvoice::New => why.retry(),
    };
    let members = Members { status, code: why, detail, charged: Charged::No, retry };
    let token = encode_base64(offered.macaroon);
    let (pass_until, pass_uses) = match offered.kind {
        Kind::Pass { uses } => (Some(offered.valid_until), uses),
        Kind::SingleUse { .. } => (None, None),
    };
    let authorization = format!("L402 {token}:$PREIMAGE");
    let body = ChallengeBody {
        macaroon: &token,
        invoice: offered.invoice,
        payment_hash: offered.hash.to_string(),
        price_sats: offered.price.sat(),
        price_msat: offered.price.get(),
        expires_at: offered.expires.seconds(),
        service: &service.name,
        next: curl::command(service, offer, &base, order, Some(&authorization)),
        retry_policy: RETRY_POLICY,
        status_url: catalogue.detects_payments.then(|| format!("{base}{STATUS_PATH}")),
        quote_url: format!("{base}{}", service.quote_path()),
        docs: format!("{base}/llms.txt"),
        pass_until,
        pass_uses,
    };
    let body = WithMembers { members, more: body };
    let mut response = match request.accepts_page {
        true => page::payment_required(request, offered, &body),
        false => None,
    }
    // Not problem+json: some clients look for this type.
    .unwrap_or_else(|| answer::json(status, "application/json", &body));
    if let Ok(line) = HeaderValue::from_str(&www_authenticate(&token, offered.invoice)) {
        response.headers_mut().insert(WWW_AUTHENTICATE, line);
    }
    let links = format!(
        "<{base}/openapi.json>; rel=\"service-desc\"; type=\"application/json\", \
         <{base}/.well-known/l402.json>; rel=\"l402-manifest\""
    );
    if let Ok(links) = HeaderValue::from_str(&links) {
        response.headers_mut().insert(LINK, links);
    }
    Answer { response, code: why }
}
