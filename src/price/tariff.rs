//! From a number and a count of segments to a price.

use std::sync::Arc;

use serde::Serialize;

use super::Msat;
use super::decimal::Decimal;
use super::rate::Rate;
use super::table::{PrefixPrice, PriceTable};

/// Above this, in sat, common clients pay nothing by themselves.
pub const USUAL_MAX_SAT: u64 = 1000;

/// What the numbers in a price list are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Currency {
    /// Satoshi.
    Sat,
    /// Millisatoshi.
    Msat,
    /// Another one, by its code such as `USD`, which has a rate.
    Other(Arc<str>),
}

impl Currency {
    /// As people write it.
    pub fn code(&self) -> &str {
        match self {
            Self::Sat => "sat",
            Self::Msat => "msat",
            Self::Other(code) => code,
        }
    }
}

/// What is paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Per {
    /// A message, however many segments it has.
    Message,
    /// Each segment of it.
    Segment,
}

/// How a price list is to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tariff {
    /// What its numbers are.
    pub currency: Currency,
    /// What they are for.
    pub per: Per,
    /// No request costs less.
    pub minimum: Msat,
    /// What would cost more isn't sold.
    pub maximum: Option<Msat>,
}

/// An amount of another currency.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OtherAmount {
    /// Its code.
    pub currency: String,
    /// How much.
    pub amount: Decimal,
}

/// What a request costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Price {
    /// What the invoice asks for.
    pub msat: Msat,
    /// What that was made of, where the price is in another currency.
    pub other: Option<OtherAmount>,
}

impl Price {
    /// One that is in sat.
    pub fn of(msat: Msat) -> Self {
        Self { msat, other: None }
    }
}

/// Why a request has no price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotPriced {
    /// The number has no listed prefix.
    Prefix,
    /// It would cost more than this, the most that the operator takes.
    TooMuch(Msat),
    /// The price of a bitcoin isn't known.
    Rate,
}

impl Tariff {
    /// What a number costs, in E.164 form, with a text of so many segments.
    pub fn price(
        &self,
        table: &PriceTable,
        number: &str,
        segments: u32,
        rate: Option<Rate>,
    ) -> Result<Price, NotPriced> {
        self.price_of(table.find(number).ok_or(NotPriced::Prefix)?, segments, rate)
    }

    /// What a listed prefix costs.
    pub fn price_of(
        &self,
        row: &PrefixPrice,
        segments: u32,
        rate: Option<Rate>,
    ) -> Result<Price, NotPriced> {
        let count = if self.per == Per::Segment { segments.max(1) } else { 1 };
        let amount = row.price.times(count);
        let (asked, other) = match &self.currency {
            Currency::Sat => (in_msat(amount, 1_000_000), None),
            Currency::Msat => (in_msat(amount, 1_000_000_000), None),
            Currency::Other(code) => {
                let other = OtherAmount { currency: code.to_string(), amount };
                (rate.ok_or(NotPriced::Rate)?.msat(amount), Some(other))
            }
        };
        let most = self.maximum.unwrap_or(Msat::MAX);
        let msat = asked.ok_or(NotPriced::TooMuch(most))?.max(self.minimum);
        if msat > most {
            return Err(NotPriced::TooMuch(most));
        }
        Ok(Price { msat, other })
    }

    /// Whether a text of so many segments costs the operator more than its price; each segment
    /// costs what is listed.
    pub fn loses(&self, row: &PrefixPrice, segments: u32, rate: Option<Rate>) -> bool {
        let Some(cost) = row.cost.map(|cost| cost.times(segments)) else { return false };
        let cost = match &self.currency {
            Currency::Sat => in_msat(cost, 1_000_000),
            Currency::Msat => in_msat(cost, 1_000_000_000),
            Currency::Other(_) => rate.and_then(|rate| rate.msat(cost)),
        };
        let price = self.price_of(row, segments, rate);
        match (price, cost) {
            (Ok(price), Some(cost)) => price.msat < cost,
            // Without a rate there is only what is listed.
            (Err(NotPriced::Rate), _) => row.cost.is_some_and(|cost| cost > row.price),
            _ => false,
        }
    }
}

/// An amount of which so many billionths are one msat, rounded up; at least 1 sat.
fn in_msat(amount: Decimal, billionths: u128) -> Option<Msat> {
    let msat = u64::try_from(amount.billionths().div_ceil(billionths)).ok()?;
    Msat::new(msat.max(Msat::MIN.get()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::listed::Listed as _;

    fn tariff(currency: Currency, per: Per) -> Tariff {
        Tariff { currency, per, minimum: Msat::MIN, maximum: None }
    }

    fn table(price: &str) -> PriceTable {
        PriceTable::read(&format!("prefix,price\n+49,{price}\n")).unwrap()
    }

    const NUMBER: &str = "+491701234567";

    #[test]
    fn a_price_is_by_message_or_by_segment_and_in_each_currency() {
        let msat = |tariff: &Tariff, price: &str, segments, rate| {
            tariff.price(&table(price), NUMBER, segments, rate).map(|price| price.msat.get())
        };
        let in_sat = tariff(Currency::Sat, Per::Message);
        assert_eq!(msat(&in_sat, "20", 3, None), Ok(20_000));
        assert_eq!(msat(&in_sat, "1.5", 1, None), Ok(1500));
        assert_eq!(msat(&in_sat, "0.2", 1, None), Ok(1000), "never less than a satoshi");
        assert_eq!(msat(&tariff(Currency::Sat, Per::Segment), "1.5", 3, None), Ok(4500));
        assert_eq!(msat(&tariff(Currency::Msat, Per::Segment), "1234", 2, None), Ok(2468));
        let usd = tariff(Currency::Other("USD".into()), Per::Segment);
        let rate = Rate::read("100000").ok();
        assert_eq!(msat(&usd, "0.01234", 1, rate), Ok(13_000), "whole satoshi, rounded up");
        assert_eq!(msat(&usd, "0.01234", 2, rate), Ok(25_000), "once, over all segments");
        assert_eq!(msat(&usd, "0.01234", 1, None), Err(NotPriced::Rate));
        let priced = usd.price(&table("0.01234"), NUMBER, 2, rate).unwrap();
        let other = priced.other.map(|other| (other.currency, other.amount.to_string()));
        assert_eq!(other, Some(("USD".to_owned(), "0.02468".to_owned())));
    }

    #[test]
    fn what_is_too_dear_or_unlisted_is_not_sold_and_the_rest_costs_the_minimum() {
        let bounded = Tariff {
            minimum: Msat::from_sat(10).unwrap(),
            maximum: Msat::from_sat(100),
            ..tariff(Currency::Sat, Per::Segment)
        };
        let price = |price: &str, segments| {
            bounded.price(&table(price), NUMBER, segments, None).map(|price| price.msat.sat())
        };
        assert_eq!((price("3", 1), price("50", 2)), (Ok(10), Ok(100)));
        assert_eq!(price("50", 3), Err(NotPriced::TooMuch(Msat::from_sat(100).unwrap())));
        let unlisted = bounded.price(&table("3"), "+12025550123", 1, None);
        assert_eq!(unlisted, Err(NotPriced::Prefix));
        let most = tariff(Currency::Sat, Per::Segment);
        let most = most.price(&table("999999999999999"), NUMBER, 10, None);
        assert_eq!(most, Err(NotPriced::TooMuch(Msat::MAX)));
    }

    #[test]
    fn a_price_that_loses_is_told_by_what_is_paid_and_by_all_segments() {
        let row = |text: &str| {
            let table = PriceTable::read(&format!("prefix,price,cost\n+49,{text}\n")).unwrap();
            *table.cheapest()
        };
        let loses = |tariff: &Tariff, text, segments| tariff.loses(&row(text), segments, None);
        let message = tariff(Currency::Sat, Per::Message);
        assert!(!loses(&message, "10,8", 1) && loses(&message, "10,8", 2));
        let segment = tariff(Currency::Sat, Per::Segment);
        assert!(!loses(&segment, "10,8", 9) && loses(&segment, "10,11", 1));
        let least = Tariff { minimum: Msat::from_sat(20).unwrap(), ..message };
        assert!(!loses(&least, "5,9", 2) && loses(&least, "5,9", 3));
    }

    proptest! {
        /// No price is below what is listed, whatever the rounding.
        #[test]
        fn no_request_costs_less_than_is_listed(
            cents in 1_u64..100_000_000, segments in 1_u32..11, rate in 1_u64..10_000_000,
        ) {
            let listed = format!("{}.{:04}", cents / 10_000, cents % 10_000);
            let usd = tariff(Currency::Other("USD".into()), Per::Segment);
            let rate_read = Rate::read(&rate.to_string()).unwrap();
            match usd.price(&table(&listed), NUMBER, segments, Some(rate_read)) {
                Ok(price) => {
                    // sat x rate / 10^8 >= cents x segments / 10^4
                    let paid = u128::from(price.msat.sat()) * u128::from(rate);
                    let wanted = u128::from(cents) * u128::from(segments) * 10_000;
                    prop_assert!(paid >= wanted);
                    prop_assert!(price.msat.sat() == 1 || paid - u128::from(rate) < wanted);
                }
                Err(error) => prop_assert_eq!(error, NotPriced::TooMuch(Msat::MAX)),
            }
        }
    }
}
