//! Whether a request is one that its service sells; the same with and without a ticket, and before any invoice exists.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::HeaderMap;

use super::answer::{Answer, Problem};
use super::code::Code;
use super::read::content_type;
use super::site::Offer;
use crate::order::{Order, Unfit};

/// The order that a request makes.
pub fn order(offer: &Offer, headers: &HeaderMap, body: Bytes) -> Result<Order, Answer> {
    offer.rules.check(content_type(headers), body).map_err(|unfit| {
        let (status, code) = match unfit {
            Unfit::ContentType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType),
            Unfit::UnexpectedBody | Unfit::Json(_) | Unfit::Schema(_) => (StatusCode::BAD_REQUEST, Code::InvalidInput),
        };
        Problem::new(status, code, unfit.to_string()).into_answer()
    })
}
