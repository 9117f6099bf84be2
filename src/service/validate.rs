//! Whether a request is one that its service sells; before any invoice exists. What was sold before
//! isn't judged again.

use super::Offer;
use super::price::Unpriced;
use super::request::PaidRequest;
use crate::answer::problem::Problem;
use crate::answer::problems;
use crate::code::Code;
use crate::order::{Order, Unfit};
use crate::price::tariff::Price;

/// The order that a request makes where it is sold, by the rules of today.
pub fn for_sale(request: &PaidRequest<'_>) -> Result<Order, Problem> {
    if !request.is_for_sale_here {
        let service = request.service;
        return Err(problems::moved(service.method.as_str(), &service.path));
    }
    order(request)
}

/// The order that a request makes, by the rules of today.
pub fn order(request: &PaidRequest<'_>) -> Result<Order, Problem> {
    let body_max = request.catalogue.limits.body;
    if request.body.len() > body_max {
        return Err(problems::body_too_large(body_max));
    }
    request.judged().map_err(|unfit| not_for_sale(&unfit))
}

/// What an order costs, and for how many segments of a text message; or why it isn't sold.
pub fn priced(offer: &Offer, order: &Order) -> Result<(Price, Option<u32>), Problem> {
    offer.price(order).map_err(|why| match why {
        Unpriced::Unfit(unfit) => not_for_sale(&unfit),
        Unpriced::NoRate => problems::no_sale_without_rate(),
    })
}

/// What is said of a request that its service doesn't sell.
pub fn not_for_sale(unfit: &Unfit) -> Problem {
    let code = match unfit {
        Unfit::ContentType { .. } => Code::UnsupportedMediaType,
        Unfit::UnexpectedQuery => Code::UnexpectedQuery,
        Unfit::UnexpectedBody
        | Unfit::Query(_)
        | Unfit::Nul
        | Unfit::Json(_)
        | Unfit::NoObject
        | Unfit::Form(_)
        | Unfit::Schema(_) => Code::InvalidInput,
    };
    let problem = problems::not_for_sale(code, unfit.to_string());
    match unfit {
        Unfit::Schema(faults) => {
            problem.with("errors", serde_json::to_value(faults).unwrap_or_default())
        }
        _ => problem,
    }
}
