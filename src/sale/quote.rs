//! What a request would cost: the sale's own judgement, without an invoice.

use std::time::Instant;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::Sale;
use crate::answer::problem::Problem;
use crate::answer::{self, Answer, problems};
use crate::client::Client;
use crate::code::Code;
use crate::order::json;
use crate::price::quote::Quote;
use crate::service::request::PaidRequest;
use crate::service::{Catalogue, Offer, Service, validate};

/// What `POST /l402/quote` takes (the discovery draft's): a service, and what would be sent to it.
#[derive(Deserialize)]
struct Asked {
    service: String,
    request: Option<Value>,
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
        validate::for_sale(request)?;
        self.quoted(request.service, request.offer).await
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
        if let Some(wanted) = asked.request {
            offer.rules.order_of(&wanted).map_err(|unfit| validate::not_for_sale(&unfit))?;
        }
        self.quoted(service, offer).await
    }

    async fn quoted(&self, service: &Service, offer: &Offer) -> Result<Answer, Problem> {
        // A price that can't be bought at would be untrue.
        self.refuse_unless_up(service).await?;
        let quote = Quote::new(&service.name, offer.price);
        let response = answer::json(StatusCode::OK, "application/json", &quote);
        Ok(Answer { response, code: Code::Quoted })
    }
}
