//! The 402 for people: a page with the invoice, for a browser that opened a paid address.

use askama::Template;
use hyper::Response;

use super::challenge::{ChallengeBody, Offered};
use crate::answer::body::Body;
use crate::answer::html::{Frame, page};
use crate::answer::problem::WithMembers;
use crate::answer::qr;
use crate::service::request::PaidRequest;
use crate::time::UnixTime;

#[derive(Template)]
#[template(path = "payment-required.html")]
struct PaymentRequired<'a> {
    frame: &'a Frame<'a>,
    service: &'a str,
    title: &'a str,
    method: &'a str,
    /// Below our root.
    path: &'a str,
    query: &'a str,
    kind: &'static str,
    detects: bool,
    price: String,
    detail: &'a str,
    invoice: &'a str,
    qr: String,
    next: &'a str,
    /// How long the invoice can be paid.
    seconds_left: u64,
    /// The same as programs read it, for the script that takes up from here.
    challenge: String,
}

/// `None` if it can't be made, and programs' form has to do.
pub(super) fn payment_required(
    request: &PaidRequest<'_>,
    offered: &Offered<'_>,
    body: &WithMembers<'_, ChallengeBody<'_>>,
) -> Option<Response<Body>> {
    let (service, uri) = (request.service, &request.head.uri);
    let template = PaymentRequired {
        frame: &request.catalogue.frame(uri.path()),
        service: &service.name,
        title: &service.title,
        method: service.method.as_str(),
        path: uri.path().trim_start_matches('/'),
        query: uri.query().unwrap_or_default(),
        kind: if request.offer.kind.is_pass() { "pass" } else { "single-use" },
        detects: request.catalogue.detects_payments,
        price: offered.price.to_string(),
        detail: body.members.detail,
        invoice: offered.invoice,
        qr: qr::svg(offered.invoice)?,
        next: &body.more.next,
        seconds_left: offered.expires.since(UnixTime::now()).unwrap_or_default().as_secs(),
        challenge: serde_json::to_string(body).ok()?,
    };
    Some(page(body.members.status, template.render().ok()?))
}
