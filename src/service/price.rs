//! What an order costs: the step between its judgement and its challenge.

use super::Offer;
use super::pricing::Pricing;
use super::sms::{fault, measured, number};
use crate::order::{Order, Unfit};
use crate::price::Msat;
use crate::price::tariff::{NotPriced, Price};

/// Why an order has no price.
pub enum Unpriced {
    /// It isn't sold.
    Unfit(Unfit),
    /// What a bitcoin costs isn't known now.
    NoRate,
}

impl Offer {
    /// Whether it goes by a file that may change while it is used.
    pub fn has_lists(&self) -> bool {
        self.deny.is_some() || matches!(self.pricing, Pricing::ByPrefix(_))
    }

    /// Looks whether such a file has changed, and takes it up. It reads files.
    pub fn look_at_lists(&self, service: &str) {
        self.pricing.look(service, self.segments_max());
        if let Some(deny) = &self.deny {
            deny.look(service);
        }
    }

    /// Why one that has changed isn't used, if one isn't.
    pub fn list_trouble(&self) -> Option<String> {
        let deny = || self.deny.as_ref().and_then(|deny| deny.trouble());
        self.pricing.list_trouble().or_else(deny)
    }

    /// The lowest and the highest price, where they are known.
    pub fn price_range(&self) -> Option<(Msat, Msat)> {
        self.pricing.range(self.segments_max())
    }

    /// Most segments of a message that is sold.
    fn segments_max(&self) -> u32 {
        let most = self.sms.as_ref().map_or(1, |sms| sms.segments_max);
        u32::try_from(most).unwrap_or(u32::MAX)
    }

    /// What an operator should know of its prices.
    pub fn price_warnings(&self) -> Vec<String> {
        self.pricing.warnings(self.segments_max())
    }

    /// What an order costs, which was judged, and for how many segments of a text message. Both are
    /// frozen in its challenge: a list that changes later changes no challenge that is open.
    pub fn price(&self, order: &Order) -> Result<(Price, Option<u32>), Unpriced> {
        let measure = measured(self.sms.as_ref(), order).map_err(Unpriced::Unfit)?;
        let segments = measure.map(|measure| u32::try_from(measure.segments).unwrap_or(u32::MAX));
        let pricing = match &self.pricing {
            Pricing::Fixed(price) => return Ok((Price::of(*price), segments)),
            Pricing::ByPrefix(pricing) => pricing,
        };
        let unlisted = |what: &str| Unpriced::Unfit(self.unlisted(what));
        let number = number(self.sms.as_ref(), order).ok_or_else(|| unlisted("a number"))?;
        let (table, rate) = (pricing.list.now(), pricing.rate());
        let priced = pricing.tariff.price(&table, &number, segments.unwrap_or(1), rate);
        let priced = priced.map(|price| (price, segments));
        priced.map_err(|why| match why {
            NotPriced::Prefix => unlisted("a number in a country or network that is sold here"),
            NotPriced::TooMuch(most) => {
                unlisted(&format!("one to which this costs at most {most}"))
            }
            NotPriced::Rate => Unpriced::NoRate,
        })
    }

    /// Why an order isn't sold at any rate, if it isn't.
    pub fn is_sold(&self, order: &Order) -> Result<(), Unfit> {
        match self.price(order) {
            Err(Unpriced::Unfit(unfit)) => Err(unfit),
            Err(Unpriced::NoRate) | Ok(_) => Ok(()),
        }
    }

    fn unlisted(&self, expected: &str) -> Unfit {
        let field = self.sms.as_ref().map_or("", |sms| &sms.to);
        Unfit::Schema(vec![fault(field, "price", expected.to_owned())])
    }
}
