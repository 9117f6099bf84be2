//! What there is to say of the services: the one source of pages, OpenAPI, manifests and llms.txt.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::answer::page_settings::PageSettings;
use crate::order::{Order, Takes};
use crate::service::times::TicketTimes;
use crate::service::{Catalogue, Offer, Service, TicketKind, curl};

/// All services that answer at a host, as they are told of to who asks there.
pub(super) struct Description<'a> {
    /// Where payers reach us, without a slash at the end.
    pub(super) base: &'a str,
    /// The operator's words.
    pub(super) settings: &'a PageSettings,
    /// How long things last.
    pub(super) times: &'a TicketTimes,
    /// Whether payments are heard of.
    pub(super) detects_payments: bool,
    /// The network's name, unless the money is real.
    pub(super) test_network: Option<&'static str>,
    /// The services, but for hidden ones.
    pub(super) services: Vec<Described<'a>>,
}

/// One service.
#[derive(Clone, Copy)]
pub(super) struct Described<'a> {
    pub(super) service: &'a Service,
    base: &'a str,
}

/// One that is paid for.
#[derive(Clone, Copy)]
pub(super) struct ForSale<'a> {
    pub(super) service: &'a Service,
    pub(super) offer: &'a Offer,
    base: &'a str,
}

impl<'a> Description<'a> {
    pub(super) fn of(catalogue: &'a Catalogue, host: Option<&'a str>, base: &'a str) -> Self {
        let services = catalogue.at_host(host).map(Arc::as_ref);
        let services = services.filter(|service| !service.is_hidden);
        Self {
            base,
            settings: &catalogue.pages,
            times: &catalogue.times,
            detects_payments: catalogue.detects_payments,
            test_network: catalogue.test_network(),
            services: services.map(|service| Described { service, base }).collect(),
        }
    }

    /// Those that are paid for.
    pub(super) fn for_sale(&self) -> impl Iterator<Item = ForSale<'a>> {
        self.services.iter().filter_map(|described| described.for_sale())
    }

    /// The path that what stands in front takes off; empty for none.
    pub(super) fn prefix(&self) -> &'a str {
        let after_scheme = self.base.find("://").map_or(0, |at| at + 3);
        let host_and_path = self.base.get(after_scheme..).unwrap_or_default();
        host_and_path.find('/').and_then(|at| host_and_path.get(at..)).unwrap_or_default()
    }

    /// What is sold here, in a sentence or two.
    pub(super) fn about(&self) -> &str {
        self.settings.about.as_deref().unwrap_or(
            "Pay for single requests with Bitcoin over Lightning. No account, no subscription.",
        )
    }
}

impl<'a> Described<'a> {
    /// As what is sold, unless it is free.
    pub(super) fn for_sale(self) -> Option<ForSale<'a>> {
        ForSale::of(self.service, self.base)
    }
}

impl<'a> ForSale<'a> {
    pub(super) fn of(service: &'a Service, base: &'a str) -> Option<Self> {
        service.offer.as_ref().map(|offer| Self { service, offer, base })
    }

    /// What one payment costs, in words.
    pub(super) fn price(self) -> String {
        self.offer.pricing.to_string()
    }

    /// Where it is.
    pub(super) fn url(self) -> String {
        format!("{}{}", self.base, self.service.path)
    }

    /// Where its price is asked for without an invoice.
    pub(super) fn quote_url(self) -> String {
        format!("{}{}", self.base, self.service.quote_path())
    }

    /// What one payment buys, in words.
    pub(super) fn buys(self) -> String {
        match self.offer.kind {
            TicketKind::SingleUse => "One payment, one request.".to_owned(),
            TicketKind::Pass { time, uses: None } => {
                format!("A pass: any number of requests for {}.", span(time))
            }
            TicketKind::Pass { time, uses: Some(uses) } => {
                format!("A pass: {uses} requests within {}.", span(time))
            }
        }
    }

    /// What a request says, and where, in words.
    pub(super) fn input(self) -> String {
        let schema = self.schema().map(|schema| format!(", as this JSON Schema says: {schema}"));
        let schema = schema.unwrap_or_default();
        match &self.offer.rules.takes {
            Takes::Nothing => "nothing beside its method and path".to_owned(),
            Takes::Json(media, _) => format!("a JSON body (Content-Type: {media}){schema}"),
            Takes::Bytes(media) => format!("a body of the type {media}"),
            Takes::Query => format!("a query, whose parameters are texts{schema}"),
        }
    }

    /// The schema of what it takes, if there is one.
    pub(super) fn schema(self) -> Option<&'a Value> {
        self.offer.rules.schema.as_ref().map(|schema| schema.source())
    }

    /// A request as an example.
    pub(super) fn example(self) -> Option<Order> {
        let wanted = self.offer.example.as_ref().unwrap_or(&Value::Null);
        self.offer.order_of(wanted).ok()
    }

    /// The example as a command, with a ticket or without.
    pub(super) fn command(self, authorization: Option<&str>) -> String {
        curl::command(self.service, self.offer, self.base, self.example().as_ref(), authorization)
    }
}

/// A duration as people say it, in its largest whole unit.
pub(super) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("day", 86_400), ("hour", 3600), ("minute", 60)];
    let whole =
        units.into_iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, count) =
        whole.map_or(("second", seconds), |(unit, length)| (unit, seconds / length));
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_whole_units() {
        let said = |seconds| span(Duration::from_secs(seconds));
        let spans = [30, 60, 600, 5400, 86_400, 2_592_000].map(said);
        let expected = ["30 seconds", "1 minute", "10 minutes", "90 minutes", "1 day", "30 days"];
        assert_eq!(spans, expected);
    }
}
