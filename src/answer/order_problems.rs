//! What is said of orders that are paid, or would be, and can't be sent: refused for good, or past
//! a limit.

use std::time::Duration;

use super::problem::Problem;
use crate::code::{Code, Retry};
use crate::ledger::messages::{Limit, NoRoom};
use crate::price::Msat;

/// The upstream will never take what was bought, and another request may take its place.
pub fn order_refused() -> Problem {
    let detail = "The service behind this gate will never take this very request: it may name a \
                  number that can't be reached, or that wants no messages. Nothing was sent, and \
                  your ticket isn't spent: send another request of this service that costs no \
                  more, with the same ticket. That can be done once.";
    Problem::new(Code::OrderRefused, detail)
}

/// The same of a request on a pass.
pub fn order_refused_of_pass() -> Problem {
    let detail = "The service behind this gate will never take this very request. Nothing was \
                  sent, and the pass stays valid for other requests.";
    Problem::new(Code::OrderRefused, detail)
}

/// The request that took the place of a refused one was refused too.
pub fn order_refused_again() -> Problem {
    let detail = "The service behind this gate will never take this request, which took the \
                  place of another one that it refused. Nothing was sent. This ticket buys \
                  nothing more by itself: ask whoever runs this service for your money.";
    Problem::new(Code::OrderRefused, detail).charged().retry(Retry::Never)
}

/// What is to take the place of a refused request costs more than that did.
pub fn dearer_than_refused(price: Msat, paid_msat: u64) -> Problem {
    let paid = Msat::new(paid_msat).map_or_else(|| "less".to_owned(), |paid| paid.to_string());
    let detail = format!(
        "This request costs {price}, and your ticket, whose request was refused, was bought for \
         {paid}. Nothing was sent, and the ticket stays valid: send a request of this service \
         that costs no more, with the same ticket. If none does by now, ask whoever runs it."
    );
    Problem::new(Code::OrderRefused, detail)
}

/// So many messages were sent that one which is paid has to wait.
pub fn no_room_yet(full: NoRoom) -> Problem {
    let detail = format!(
        "{} Nothing was sent, and the ticket stays valid: send the same request again then, no \
         second payment.",
        what_is_full(full)
    );
    Problem::new(Code::MessageLimit, detail).after(full.retry_after)
}

/// So many messages were sent that no more are sold.
pub fn no_room_to_sell(full: NoRoom) -> Problem {
    let detail = format!("{} Nothing is sold there until then.", what_is_full(full));
    Problem::new(Code::MessageLimit, detail).after(full.retry_after).retry(Retry::NewTicket)
}

fn what_is_full(full: NoRoom) -> String {
    let what = match full.limit {
        Limit::Number => "This number has got as many messages from here as it may for now",
        Limit::Day => "As many messages as may be sent there in a day have been sent today",
    };
    format!("{what}; there is room again in about {}.", for_people(full.retry_after))
}

/// A length of time, roughly.
fn for_people(length: Duration) -> String {
    let (count, unit) = match length.as_secs() + u64::from(length.subsec_nanos() > 0) {
        seconds @ 0..120 => (seconds, "seconds"),
        seconds @ 120..7200 => (seconds.div_ceil(60), "minutes"),
        seconds => (seconds.div_ceil(3600), "hours"),
    };
    format!("{count} {unit}")
}
