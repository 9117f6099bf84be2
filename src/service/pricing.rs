//! What requests of a service cost.

use std::fmt;
use std::sync::Arc;

use tracing::warn;

use super::watched_list::WatchedList;
use crate::price::Msat;
use crate::price::decimal::Decimal;
use crate::price::rate::Rate;
use crate::price::table::{PrefixPrice, PriceTable};
use crate::price::tariff::{Currency, NotPriced, Per, Price, Tariff, USUAL_MAX_SAT};
use crate::rate::CurrentRate;

/// How a service's requests are priced.
pub enum Pricing {
    /// All cost the same.
    Fixed(Msat),
    /// By where a message goes, and how long it is.
    ByPrefix(Box<PrefixPricing>),
}

/// By the longest prefix of the number.
pub struct PrefixPricing {
    /// How the list is to be read.
    pub tariff: Tariff,
    /// The list.
    pub list: WatchedList<PriceTable>,
    /// What a bitcoin costs, where the list is in another currency.
    pub rate: Option<Arc<CurrentRate>>,
}

impl Pricing {
    /// The price, where all cost the same.
    pub fn fixed(&self) -> Option<Msat> {
        match self {
            Self::Fixed(price) => Some(*price),
            Self::ByPrefix(_) => None,
        }
    }

    /// Whether a price is known for an hour, and not only for as long as a rate holds.
    pub fn is_steady(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::ByPrefix(pricing) => pricing.rate.is_none(),
        }
    }

    /// What an operator should know of it, who sells so many segments at most.
    pub fn warnings(&self, segments_max: u32) -> Vec<String> {
        match self {
            Self::Fixed(_) => Vec::new(),
            Self::ByPrefix(pricing) => pricing.warnings(segments_max),
        }
    }

    /// Looks whether a price list has changed, and takes it up.
    pub fn look(&self, service: &str, segments_max: u32) {
        if let Self::ByPrefix(pricing) = self
            && pricing.list.look(service)
        {
            for what in pricing.warnings(segments_max) {
                warn!(service, "{what}");
            }
        }
    }

    /// Why a changed price list isn't used, if it isn't.
    pub fn list_trouble(&self) -> Option<String> {
        match self {
            Self::Fixed(_) => None,
            Self::ByPrefix(pricing) => pricing.list.trouble(),
        }
    }

    /// Whether anything can be priced now.
    pub fn is_known(&self) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::ByPrefix(pricing) => pricing.rate.is_none() || pricing.rate().is_some(),
        }
    }

    /// Why nothing can be priced, if nothing can.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Fixed(_) => None,
            Self::ByPrefix(pricing) => pricing.rate.as_ref().and_then(|rate| rate.trouble()),
        }
    }

    /// The lowest and the highest price of a message with at most so many segments, where they are
    /// known.
    pub fn range(&self, segments_max: u32) -> Option<(Msat, Msat)> {
        match self {
            Self::Fixed(price) => Some((*price, *price)),
            Self::ByPrefix(pricing) => {
                let table = pricing.list.now();
                let rate = pricing.rate();
                let most = pricing.tariff.maximum;
                let price = |row, segments| match pricing.tariff.price_of(row, segments, rate) {
                    Ok(price) => Some(price.msat),
                    Err(NotPriced::TooMuch(_)) => most,
                    Err(_) => None,
                };
                Some((price(table.cheapest(), 1)?, price(table.dearest(), segments_max)?))
            }
        }
    }
}

/// For people.
impl fmt::Display for Pricing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pricing = match self {
            Self::Fixed(price) => return price.fmt(f),
            Self::ByPrefix(pricing) => pricing,
        };
        let (table, tariff) = (pricing.list.now(), &pricing.tariff);
        let each = if tariff.per == Per::Segment { " for each segment" } else { "" };
        let (low, high) = match (&tariff.currency, self.range(1)) {
            (Currency::Sat | Currency::Msat, Some((low, high))) => {
                (low.to_string(), high.to_string())
            }
            (currency, _) => {
                let amount = |price: Decimal| format!("{price} {}", currency.code());
                (amount(table.cheapest().price), amount(table.dearest().price))
            }
        };
        if low == high {
            return write!(f, "{low}{each}");
        }
        // The unit is said once, where it is one.
        let low = match (low.split_once(' '), high.split_once(' ')) {
            (Some((number, unit)), Some((_, other))) if unit == other => number,
            _ => &low,
        };
        write!(f, "{low} to {high}{each}, by where the message goes")
    }
}

impl PrefixPricing {
    /// What a bitcoin costs now, where that counts and is known.
    pub fn rate(&self) -> Option<Rate> {
        self.rate.as_ref().and_then(|rate| rate.now())
    }

    /// What an operator should know of the list: prices under their cost, and prices above what
    /// common clients pay.
    fn warnings(&self, segments_max: u32) -> Vec<String> {
        let (table, rate) = (self.list.now(), self.rate());
        let loses = |row: &&PrefixPrice| {
            (1..=segments_max).any(|segments| self.tariff.loses(row, segments, rate))
        };
        let under_cost = table.rows().filter(loses);
        let under_cost: Vec<String> = under_cost.map(|row| row.prefix.to_string()).collect();
        let is_dear = |price: &Price| price.msat.sat() > USUAL_MAX_SAT;
        let dear = table
            .rows()
            .filter(|row| self.tariff.price_of(row, 1, rate).is_ok_and(|price| is_dear(&price)));
        let dear: Vec<String> = dear.map(|row| row.prefix.to_string()).collect();
        let (mut all, file) = (Vec::new(), self.list.path().display());
        let is_too_dear = |row: &&PrefixPrice| {
            matches!(self.tariff.price_of(row, 1, rate), Err(NotPriced::TooMuch(_)))
        };
        let unsold: Vec<String> =
            table.rows().filter(is_too_dear).map(|row| row.prefix.to_string()).collect();
        if !unsold.is_empty() {
            let which = some_of(unsold);
            all.push(format!(
                "{file}: nothing is sold to {which}, which costs more than `price.maximum_sat`"
            ));
        }
        if !under_cost.is_empty() {
            let which = some_of(under_cost);
            all.push(format!(
                "{file}: the price is below the cost for {which}: whoever gets a share of what you \
                 pay there may buy messages to earn from you; raise it, or leave the line out"
            ));
        }
        if !dear.is_empty() {
            let which = some_of(dear);
            all.push(format!(
                "{file}: more than {USUAL_MAX_SAT} sat for {which}, which common clients don't pay \
                 by themselves"
            ));
        }
        all
    }
}

/// The first few, in order.
fn some_of(mut all: Vec<String>) -> String {
    const NAMED: usize = 5;
    all.sort();
    let others = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    let named = all.join(", ");
    if others == 0 { named } else { format!("{named} and {others} more") }
}
