//! Every sentence that a payer may read, beside the code that it belongs to.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue};

use super::problem::Problem;
use super::why_to_pay::{WhichInvoice, why_to_pay};
use crate::code::{Code, Retry};

/// How soon a client should come back when something is down.
const DOWN_RETRY_AFTER: Duration = Duration::from_secs(5);

/// How soon a client should come back where there was no place for it.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How soon a client should come back for what only the operator can put right.
const HELD_RETRY_AFTER: Duration = Duration::from_secs(300);

/// How soon a client should ask again for the end of a redemption under way.
const IN_FLIGHT_RETRY_AFTER: Duration = Duration::from_secs(2);

// The request can't be taken.

/// The request's head, or its query at one of our own paths, is not one that can be answered.
pub fn bad_request(what: impl Into<String>) -> Problem {
    Problem::new(Code::BadRequest, what)
}

/// No service has this path.
pub fn no_such_service() -> Problem {
    let detail = "There is no such service here. Paths are matched exactly.";
    Problem::new(Code::NotFound, detail)
}

/// The head has more fields than it may.
pub fn too_many_fields(most: usize) -> Problem {
    Problem::new(Code::BadRequest, format!("A request has at most {most} header fields."))
        .status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
}

/// There is no place for one more body that isn't here yet.
pub fn too_many_bodies() -> Problem {
    let detail = "Too many requests are being read at once. Send the same request again, with its \
                  body at once.";
    Problem::new(Code::TooBusy, detail).after(BUSY_RETRY_AFTER)
}

/// The path is there for other methods. `allow` lists all that it answers.
pub fn method_not_allowed(methods: &str, allow: HeaderValue) -> Problem {
    let problem = Problem::new(Code::MethodNotAllowed, format!("This path takes {methods}."));
    problem.with_header(ALLOW, allow)
}

/// The body is longer than `limit` bytes.
pub fn body_too_large(limit: usize) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("The body is longer than {limit} bytes."))
}

/// The body took longer than it may.
pub fn body_too_slow(limit: Duration) -> Problem {
    let detail = format!("The body did not arrive within {} s.", limit.as_secs());
    Problem::new(Code::BodyTooSlow, detail)
}

/// The body ended before its end.
pub fn body_broken() -> Problem {
    Problem::new(Code::BodyBroken, "The body broke off or was badly framed.")
}

/// The body is compressed.
pub fn compressed_body() -> Problem {
    let detail = "This service takes no compressed body; leave out Content-Encoding.";
    Problem::new(Code::UnsupportedMediaType, detail)
}

/// The request is not one that its service sells; `what` says why.
pub fn not_for_sale(code: Code, what: impl Into<String>) -> Problem {
    Problem::new(code, what)
}

// Prices and pictures.

/// This client has asked for as much as it may in a while.
pub fn too_many_questions(retry_after: Duration) -> Problem {
    let detail = "You ask too often. Wait as long as `Retry-After` says.";
    Problem::new(Code::TooManyQuestions, detail).after(retry_after)
}

/// No paid service has this name, or none that answers at this host.
pub fn nothing_to_quote() -> Problem {
    let detail = "Nothing of this name is sold here; /.well-known/l402-services lists what is.";
    Problem::new(Code::NotFound, detail)
}

// Nothing can be sold.

/// What can't be recorded isn't sold.
pub fn no_sale_ledger_down() -> Problem {
    let detail = "The record of tickets can't be written at the moment, so nothing is sold.";
    no_sale(Code::LedgerDown, detail)
}

/// What can't be delivered isn't sold.
pub fn no_sale_upstream_down() -> Problem {
    let detail = "The service behind this gate does not answer at the moment, so nothing is sold.";
    no_sale(Code::UpstreamDown, detail)
}

/// What the upstream refuses to everybody, or leaves unknown, isn't sold on.
pub fn no_sale_upstream_refuses(retry_after: Duration) -> Problem {
    let detail = "The service behind this gate serves nobody at the moment, which whoever runs it \
                  has to set right, so nothing is sold. Paid tickets stay valid.";
    no_sale(Code::UpstreamMisconfigured, detail).after(retry_after)
}

/// The upstream asks to be left alone for a while.
pub fn no_sale_upstream_limited(retry_after: Duration) -> Problem {
    let detail = "The service behind this gate takes no more requests for a while, so nothing is \
                  sold. Paid tickets stay valid.";
    no_sale(Code::UpstreamDown, detail).after(retry_after)
}

/// What has no price now isn't sold.
pub fn no_sale_without_rate() -> Problem {
    let detail = "The price of this can't be told at the moment, since it is in another currency \
                  and what a bitcoin costs is not known, so nothing is sold. Paid tickets stay \
                  valid.";
    no_sale(Code::PriceUnknown, detail)
}

/// What is asked for decides on the price, and nothing is asked for.
pub fn price_depends() -> Problem {
    let detail = "The price of this depends on the request: give it in `request`.";
    bad_request(detail)
}

/// The node is known to be down.
pub fn no_sale_node_down() -> Problem {
    let detail = "No invoices can be made at the moment, so nothing is sold. Paid tickets are \
                  still redeemed.";
    no_sale(Code::NodeDown, detail)
}

/// The node gave no invoice for this sale.
pub fn no_invoice() -> Problem {
    let detail = "No invoice could be made, so nothing is sold. Paid tickets are still redeemed.";
    no_sale(Code::NodeDown, detail)
}

/// As many calls wait for the node as may.
pub fn too_many_invoices_at_once() -> Problem {
    no_sale(Code::TooBusy, "Too many invoices are being asked for at once.")
}

/// The system has no randomness.
pub fn no_ticket_made() -> Problem {
    no_sale(Code::Internal, "A ticket could not be made.")
}

fn no_sale(code: Code, detail: &str) -> Problem {
    Problem::new(code, detail).retry(Retry::NewTicket).after(DOWN_RETRY_AFTER)
}

/// A client, or all together, have asked for as much as may be unpaid.
pub fn too_many_unpaid(retry_after: Duration) -> Problem {
    let detail = "There are too many unpaid invoices. Hand in a ticket that is paid, which makes \
                  room for one, or wait until the oldest has run out.";
    Problem::new(Code::TooManyUnpaid, detail).after(retry_after)
}

// Perhaps it is paid already: nobody is asked to pay again.

/// The node says that the ticket is paid, and its service wants the preimage.
pub fn preimage_missing() -> Problem {
    let detail = "The invoice of this ticket is paid. Send the same request again with the \
                  preimage, which your wallet shows; /l402/status tells it to the holder of the \
                  macaroon.";
    Problem::new(Code::PreimageMissing, detail)
}

/// A payment is claimed with a preimage that isn't the ticket's (`why`), and its own invoice is not
/// at hand any more.
pub fn no_second_invoice(why: Code) -> Problem {
    let detail = format!(
        "{} No other invoice is offered while the one of this ticket may be paid.",
        why_to_pay(why, WhichInvoice::Own)
    );
    let problem = Problem::new(why, detail).status(StatusCode::UNPROCESSABLE_ENTITY);
    problem.retry(Retry::SameTicket)
}

/// Nobody can say at the moment whether the ticket is paid.
pub fn payment_undetermined() -> Problem {
    let detail = "Whether this was paid can't be found out at the moment. Send the same request \
                  again later, or with the preimage.";
    Problem::new(Code::NodeDown, detail).after(DOWN_RETRY_AFTER)
}

// A paid ticket.

/// A paid ticket that was bought for another request, and never handed in: no second sale, the
/// payer still has this one.
pub fn for_another_request() -> Problem {
    let detail = "This ticket was bought for another request. Send exactly the request that you \
                  asked the price for, with this ticket; it stays valid. To send this request \
                  instead, ask for its own price without a ticket.";
    Problem::new(Code::TicketForAnotherRequest, detail)
}

/// A genuine pass at a service that sells single requests by now.
pub fn pass_not_taken() -> Problem {
    let detail = "This pass was sold when this service sold passes; it sells single requests now, \
                  and takes passes no more. Ask whoever runs it for what the pass still owes you. \
                  To buy a single request, ask for its price without the pass.";
    Problem::new(Code::PassNotTaken, detail)
}

/// Tickets are redeemed at this address, and sold at another.
pub fn moved(method: &str, path: &str) -> Problem {
    let detail = format!(
        "This service has moved to {method} {path}: ask for the price there. Tickets that were \
         bought here are still taken here."
    );
    Problem::new(Code::Moved, detail)
}

/// A counted pass of an earlier life of the ledger: what of it was used since, nobody knows.
pub fn pass_held() -> Problem {
    let detail = "The record of tickets was put back from a copy, and what of this pass was used \
                  since isn't known. Nothing was sent. It is held until whoever runs this service \
                  has looked after it: send the same request again later.";
    Problem::new(Code::LedgerDown, detail).after(HELD_RETRY_AFTER)
}

/// The claim could not be made durable.
pub fn ledger_down() -> Problem {
    let detail = "The ticket can't be recorded at the moment, so nothing was sent. It stays \
                  valid: send the same request again later.";
    Problem::new(Code::LedgerDown, detail).after(DOWN_RETRY_AFTER)
}

/// Somebody else holds the ticket.
pub fn in_flight() -> Problem {
    let detail = "This ticket is being redeemed at this moment. Send the same request again to \
                  get its answer; nothing is sent twice.";
    Problem::new(Code::InFlight, detail).after(IN_FLIGHT_RETRY_AFTER)
}

/// There is no place for one more redemption.
pub fn too_many_redemptions() -> Problem {
    let detail = "Too many tickets are being redeemed at once. Nothing was sent, and this one \
                  stays valid: send the same request again.";
    Problem::new(Code::TooBusy, detail).after(BUSY_RETRY_AFTER)
}

/// The task of a redemption is gone without a word.
pub fn internal() -> Problem {
    let detail = "Something went wrong here. The ticket is not lost: send the same request again \
                  to see what became of it.";
    Problem::new(Code::Internal, detail).after(BUSY_RETRY_AFTER)
}

/// The last try did nothing, but it was a moment ago.
pub fn retry_later(retry_after: Duration) -> Problem {
    let detail = "The last try with this ticket was a moment ago and did nothing. Send the same \
                  request again later; no second payment.";
    Problem::new(Code::RetryLater, detail).after(retry_after)
}

/// All uses of a pass are used, and one was given back a moment ago.
pub fn pass_retry_later(retry_after: Duration) -> Problem {
    let detail =
        "The last use of this pass was given back a moment ago. Send the same request again later.";
    Problem::new(Code::RetryLater, detail).after(retry_after)
}

/// No connection: nothing was sent.
pub fn upstream_unreachable(retry_after: Duration) -> Problem {
    let detail = "The service behind this gate does not answer. Nothing was sent, and the ticket \
                  stays valid: send the same request again later, no second payment.";
    Problem::new(Code::UpstreamUnreachable, detail).after(retry_after)
}

/// The upstream certainly did nothing. `words` are its own, cleaned.
pub fn upstream_refused(status: u16, words: Option<&str>, retry_after: Duration) -> Problem {
    let detail = "The service behind this gate refused the request. Nothing was sent, and the \
                  ticket stays valid: send the same request again later, no second payment.";
    Problem::new(Code::UpstreamRefused, detail).after(retry_after).upstream_said(status, words)
}

/// Nobody knows whether the request of a ticket was served.
pub fn parked() -> Problem {
    let detail = "Nobody knows whether your request was delivered. It is not sent again, so that \
                  it is not sent twice; the operator of this gate can find out. Send the same \
                  request again later to see what became of it.";
    Problem::new(Code::OutcomeUnknown, detail).maybe_charged()
}

/// Nobody knows whether a request on a pass was served.
pub fn pass_outcome_unknown() -> Problem {
    let detail = "The service behind this gate took the request and gave no answer that can be \
                  read. The pass stays valid.";
    Problem::new(Code::OutcomeUnknown, detail)
}

/// Delivered, and there is no answer to give back. `status` is the upstream's, if that says so
/// much.
pub fn answer_not_kept(status: StatusCode) -> Problem {
    let has_body = !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT);
    let detail = "Your request was delivered; the service's answer isn't kept: it was too long or \
                  cut short, or came to light later. Nothing is sent again.";
    let problem = Problem::new(Code::DeliveredAnswerNotKept, detail).charged();
    problem.status(if has_body { status } else { StatusCode::OK })
}

// A free service.

/// No connection to a free service's upstream.
pub fn free_unreachable() -> Problem {
    let detail = "The service behind this gate does not answer. Nothing was sent.";
    Problem::new(Code::UpstreamUnreachable, detail).retry(Retry::Never)
}

/// A free service's upstream took the request, and gave no answer that can be passed on.
pub fn free_without_answer() -> Problem {
    let detail =
        "The service behind this gate took the request and gave no answer that can be read.";
    Problem::new(Code::OutcomeUnknown, detail).retry(Retry::Never)
}

/// This client has as many requests under way at a free service as it may.
pub fn free_too_many() -> Problem {
    let detail = "Too many of your requests are under way here at once. Nothing was sent: send it \
                  again once one of them has ended.";
    Problem::new(Code::TooBusy, detail).after(BUSY_RETRY_AFTER).retry(Retry::Never)
}

// How a ticket stands.

/// Payments are not watched for.
pub fn no_status_here() -> Problem {
    let detail = "This gate does not watch for payments, so it can't tell how a ticket stands.";
    Problem::new(Code::NotFound, detail)
}

/// The question is asked without a ticket.
pub fn status_without_macaroon() -> Problem {
    bad_request("Send the macaroon along, as `Authorization: L402 <macaroon>:`.")
}

/// The question is asked with a ticket that isn't ours.
pub fn status_of_foreign_ticket() -> Problem {
    let detail = "What was handed in is no ticket of this gate's. Ask its service for one.";
    Problem::new(Code::TicketForged, detail).status(StatusCode::FORBIDDEN).retry(Retry::Never)
}

/// The ledger can't say how a ticket stands.
pub fn status_ledger_down() -> Problem {
    let detail = "How this ticket stands can't be read at the moment. Nothing is lost: ask again \
                  later.";
    Problem::new(Code::LedgerDown, detail).after(DOWN_RETRY_AFTER)
}

/// The node can't say whether a ticket is paid.
pub fn status_node_down() -> Problem {
    let detail = "Whether this was paid can't be found out at the moment. A payment is not lost: \
                  ask again later.";
    Problem::new(Code::NodeDown, detail).after(DOWN_RETRY_AFTER)
}

/// This pass has as many requests under way as it may.
pub fn too_many_of_pass() -> Problem {
    let detail = "Too many requests on this pass are under way at once. Nothing was sent: send \
                  the same request again once one of them has ended.";
    Problem::new(Code::TooBusy, detail).after(BUSY_RETRY_AFTER)
}

/// A backend's news can't be written down.
pub fn report_not_taken() -> Problem {
    let detail = "This can't be written down at the moment: say it again later.";
    Problem::new(Code::LedgerDown, detail).after(DOWN_RETRY_AFTER).retry(Retry::Never)
}

/// There is no place for one more stream of events.
pub fn too_many_streams() -> Problem {
    let detail = "Too many wait to hear of tickets at once. Ask again later, or without asking \
                  for events.";
    Problem::new(Code::TooBusy, detail).after(BUSY_RETRY_AFTER)
}
