//! Whether a request is one that its service sells; the same with and without a ticket, and before
//! any invoice exists.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::http::request::Parts;

use super::read::content_type;
use crate::answer::{Answer, Problem};
use crate::code::Code;
use crate::order::{Order, Unfit};
use crate::service::Offer;

/// The order that a request makes.
pub fn order(offer: &Offer, head: &Parts, body: Bytes) -> Result<Order, Answer> {
    offer.rules.check(content_type(&head.headers), head.uri.query(), body).map_err(|unfit| {
        let (status, code) = match unfit {
            Unfit::ContentType { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType)
            }
            Unfit::UnexpectedQuery => (StatusCode::BAD_REQUEST, Code::UnexpectedQuery),
            Unfit::UnexpectedBody | Unfit::Query(_) | Unfit::Json(_) | Unfit::Schema(_) => {
                (StatusCode::BAD_REQUEST, Code::InvalidInput)
            }
        };
        Problem::new(status, code, unfit.to_string()).into_answer()
    })
}
