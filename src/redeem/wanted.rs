//! What a ticket is redeemed for: the request that it was bought for, or the one that takes its
//! place once that was refused for good.

use std::borrow::Cow;

use super::run::Runner;
use crate::answer::problem::Problem;
use crate::answer::{order_problems, problems};
use crate::code::Retry;
use crate::ledger::state::{Asked, Rebound, State};
use crate::order::Order;
use crate::request_digest::RequestDigest;
use crate::service::numbers::refuse_unless_reached;
use crate::service::request::PaidRequest;
use crate::service::validate;
use crate::ticket::VerifiedTicket;

/// An order that a ticket pays for.
pub(super) struct Wanted<'a> {
    pub(super) order: Cow<'a, Order>,
    pub(super) digest: RequestDigest,
    pub(super) asked: Asked,
    /// How many segments of a text message it was priced with.
    pub(super) segments: Option<u32>,
}

/// What a ticket pays for that came with this request. `None` if it pays for another one.
pub(super) async fn wanted<'a>(
    runner: &Runner,
    request: &PaidRequest<'_>,
    verified: &'a VerifiedTicket,
) -> Result<Option<Wanted<'a>>, Problem> {
    let bought = verified.order().map(|order| Wanted {
        order: Cow::Borrowed(order),
        digest: verified.request(),
        asked: Asked::Bought,
        segments: verified.ticket().segments,
    });
    if bought.is_some() && !verified.is_for_any() {
        return Ok(bought);
    }
    let row = runner.ledger.show(verified.ticket().payment_hash).await;
    let row = row.map_err(|_| problems::ledger_down())?;
    // A ticket for any request is for the first one that came with it.
    let Some(row) = row.filter(|row| bought.is_none() || row.request != verified.request()) else {
        return Ok(bought);
    };
    let (ring, ticket) = (&runner.ring, verified.ticket());
    if let Some(Rebound { segments }) = row.rebound {
        let order = request.sold_by(ring, ticket, row.request);
        let (digest, asked) = (row.request, Asked::Rebound);
        let taken = |order| Wanted { order: Cow::Owned(order), digest, asked, segments };
        return Ok(order.map(taken).or(bought));
    }
    if row.state != State::Refused {
        return Ok(bought);
    }
    // It is a sale but for its payment.
    let order = validate::order(request).map_err(for_holder)?;
    let (price, segments) = validate::priced(request.offer, &order).map_err(for_holder)?;
    if price.msat.get() > row.price_msat {
        return Err(order_problems::dearer_than_refused(price.msat, row.price_msat));
    }
    let (service, offer) = (request.service, request.offer);
    let reached = refuse_unless_reached(service, offer, ring, &runner.ledger, &order).await;
    reached.map_err(for_holder)?;
    let digest = request.digest_for(ring, ticket, &order).ok_or_else(problems::internal)?;
    let asked = Asked::Instead { price_msat: price.msat.get(), rebound: Rebound { segments } };
    Ok(Some(Wanted { order: Cow::Owned(order), digest, asked, segments }))
}

/// What a sale says, to whoever has paid already: that ticket is worth keeping.
fn for_holder(problem: Problem) -> Problem {
    let is_ours = problem.status_code().is_server_error();
    problem.retry(if is_ours { Retry::SameTicket } else { Retry::ChangedRequest })
}
