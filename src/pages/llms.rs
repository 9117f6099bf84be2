//! `/llms.txt`: how to buy, in few words, enough to write a client from (llmstxt.org).

use askama::Template;

use super::description::{Description, ForSale, span};
use crate::answer::problem::Problem;
use crate::answer::problems;

#[derive(Template)]
#[template(path = "llms.txt", escape = "none")]
struct Llms<'a> {
    description: &'a Description<'a>,
    guidance: String,
    has_pass: bool,
    sold: Vec<ForSale<'a>>,
    invoice_expiry: String,
    lifetime: String,
    replay: String,
}

pub(super) fn text(description: &Description<'_>) -> Result<String, Problem> {
    let page = Llms {
        description,
        guidance: super::openapi::guidance(description),
        has_pass: description.for_sale().any(|sold| sold.offer.kind.is_pass()),
        sold: description.for_sale().collect(),
        invoice_expiry: span(description.times.invoice_expiry),
        lifetime: span(description.times.lifetime),
        replay: span(description.times.replay),
    };
    page.render().map_err(|_| problems::internal())
}
