//! Whether a request is one that its service sells; the same with and without a ticket, and before
//! any invoice exists.

use bytes::Bytes;
use hyper::http::request::Parts;

use super::read::content_type;
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::code::Code;
use crate::order::{Order, Unfit};
use crate::service::Offer;

/// The order that a request makes.
pub fn order(offer: &Offer, head: &Parts, body: Bytes) -> Result<Order, Problem> {
    let checked = offer.rules.check(content_type(&head.headers), head.uri.query(), body);
    checked.map_err(|unfit| {
        let code = match unfit {
            Unfit::ContentType { .. } => Code::UnsupportedMediaType,
            Unfit::UnexpectedQuery => Code::UnexpectedQuery,
            Unfit::UnexpectedBody | Unfit::Query(_) | Unfit::Json(_) | Unfit::Schema(_) => {
                Code::InvalidInput
            }
        };
        problems::not_for_sale(code, unfit.to_string())
    })
}
