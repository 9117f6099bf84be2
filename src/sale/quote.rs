//! What a request would cost: the sale's own judgement, without an invoice.

use std::time::Instant;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Sale;
use crate::answer::problem::Problem;
use crate::answer::{self, Answer, problems};
use crate::client::Client;
use crate::code::Code;
use crate::order::{Order, json};
use crate::price::quote::Quote;
use crate::price::tariff::Price;
use crate::service::numbers::refuse_unless_sold_to;
use crate::service::request::PaidRequest;
use crate::service::sms::measured;
use crate::service::{Catalogue, Offer, Service, validate};
use crate::sms::measure::Measure;

/// What `POST /l402/quote` takes (the discovery draft's): a service, and what would be sent to it.
#[derive(Deserialize)]
struct Asked {
    service: String,
    request: Option<Value>,
}

/// A price, and of a text message what it is to the network.
#[derive(Serialize)]
struct Quoted<'a> {
    #[serde(flatten)]
    price: Quote<'a>,
    #[serde(flatten)]
    sms: Option<Measure>,
    /// Most segments that are sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_segments: Option<usize>,
}

impl Sale {
    /// `Err` if a client asks too often for prices.
    pub fn take_quote(&self, client: &Client) -> Result<(), Problem> {
        self.quotes.take(client, Instant::now()).map_err(problems::too_many_questions)
    }

    /// `Err` if a client asks too often for pictures.
    pub fn take_picture(&self, client: &Client) -> Result<(), Problem> {
        self.pictures.take(client, Instant::now()).map_err(problems::too_many_questions)
    }

    /// What this very request would cost, sent to its service.
    pub async fn quote(&self, request: &PaidRequest<'_>) -> Result<Answer, Problem> {
        let order = validate::for_sale(request)?;
        self.quoted(request.service, request.offer, Some(&order)).await
    }

    /// The same for a request that is told of in JSON. Without one, what any request of the service
    /// costs.
    pub async fn quote_described(
        &self,
        catalogue: &Catalogue,
        body: &[u8],
        host: Option<&str>,
    ) -> Result<Answer, Problem> {
        let takes = "The body is JSON such as {\"service\": \"NAME\", \"request\": {..}}";
        let asked = json::parse(body).map_err(|error| problems::bad_request(error.to_string()))?;
        let asked: Asked = serde_json::from_value(asked)
            .map_err(|_| problems::bad_request(format!("{takes}: `service` is missing.")))?;
        let found = catalogue.for_sale_by(&asked.service, host);
        let (service, offer) = found.ok_or_else(problems::nothing_to_quote)?;
        let order = asked.request.map(|wanted| offer.order_of(&wanted)).transpose();
        let order = order.map_err(|unfit| validate::not_for_sale(&unfit))?;
        self.quoted(service, offer, order.as_ref()).await
    }

    async fn quoted(
        &self,
        service: &Service,
        offer: &Offer,
        order: Option<&Order>,
    ) -> Result<Answer, Problem> {
        // A price that can't be bought at would be untrue.
        self.refuse_unless_up(service).await?;
        let sms = order.and_then(|order| measured(offer.sms.as_ref(), order).ok().flatten());
        let price = match (order, offer.pricing.fixed()) {
            (Some(order), _) => validate::priced(offer, order)?.0,
            (None, Some(price)) => Price::of(price),
            (None, None) => return Err(problems::price_depends()),
        };
        if let Some(order) = order {
            refuse_unless_sold_to(service, offer, &self.ring, &self.ledger, order).await?;
        }
        let max_segments = sms.and(offer.sms.as_ref()).map(|rules| rules.segments_max);
        let quoted = Quoted { price: Quote::new(&service.name, &price), sms, max_segments };
        let response = answer::json(StatusCode::OK, "application/json", &quoted);
        Ok(Answer { response, code: Code::Quoted })
    }
}
