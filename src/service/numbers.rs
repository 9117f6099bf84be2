//! How many messages a service sends, to one number and in a day, and which numbers get none: what
//! the ledger counts and remembers of numbers, by keyed hashes of them.

use super::number_rules::NumberRules;
use super::sms::{fault, number};
use super::{Offer, Service, validate};
use crate::answer::problem::Problem;
use crate::answer::{order_problems, problems};
use crate::keys::{KeyRing, Keys};
use crate::ledger::Ledger;
use crate::ledger::error::LedgerError;
use crate::ledger::messages::{
    MessageClaim, RefusedBy, RefusedNumber, ReportName, RoomQuery, Standing,
};
use crate::number_hash::NumberHash;
use crate::order::{Order, Unfit};
use crate::sms::country::country_code;
use crate::time::UnixTime;

impl Service {
    /// A number as the ledger has it: under every name of the service and every secret, the first
    /// of which are those of today.
    pub fn number_hashes(&self, ring: &KeyRing, number: &str) -> Vec<NumberHash> {
        let names: Vec<&str> = self.names().all().collect();
        let under = |keys: &Keys| -> Vec<NumberHash> {
            names.iter().map(|name| keys.number_hash(name, number)).collect()
        };
        ring.all().flat_map(under).collect()
    }

    /// The limits of a message to a number.
    pub fn room_query(&self, ring: &KeyRing, rules: &NumberRules, number: &str) -> RoomQuery {
        RoomQuery {
            numbers: self.number_hashes(ring, number),
            per_number: rules.per_number,
            per_day: rules.per_day(&self.name, number),
        }
    }

    /// What the ledger keeps of an order's message, where it counts messages or hears of them.
    pub fn message_claim(
        &self,
        offer: &Offer,
        ring: &KeyRing,
        order: &Order,
        name: Option<ReportName>,
    ) -> Option<MessageClaim> {
        let rules = offer.numbers.as_ref().filter(|rules| rules.counts());
        let reports = self.mapping.as_ref().and_then(|mapping| mapping.reports.as_ref());
        if rules.is_none() && reports.is_none() {
            return None;
        }
        let number = number(offer.sms.as_ref(), order)?;
        let counted_for = rules.map(NumberRules::counted_for).unwrap_or_default();
        let reported_for = reports.map(|reports| reports.kept_for).unwrap_or_default();
        let room = match rules {
            Some(rules) => self.room_query(ring, rules, &number),
            None => RoomQuery { numbers: self.number_hashes(ring, &number), ..Default::default() },
        };
        Some(MessageClaim {
            room,
            country: country_code(&number).to_owned(),
            name: name.filter(|_| reports.is_some()),
            kept_for: counted_for.max(reported_for),
        })
    }

    /// A number to which nothing is sold for a time.
    pub fn refused_number(
        &self,
        ring: &KeyRing,
        rules: &NumberRules,
        number: &str,
        by: RefusedBy,
    ) -> Option<RefusedNumber> {
        let number = *self.number_hashes(ring, number).first()?;
        let key = ring.minting().fingerprint();
        Some(RefusedNumber { number, lasts: rules.refused_for, by, key })
    }
}

/// `Err` unless a message may be sold to the number that an order names, by what was sent and heard
/// of before.
pub async fn refuse_unless_sold_to(
    service: &Service,
    offer: &Offer,
    ring: &KeyRing,
    ledger: &Ledger,
    order: &Order,
) -> Result<(), Problem> {
    let standing = standing(service, offer, ring, ledger, order).await;
    let standing = standing.map_err(|_| problems::no_sale_ledger_down())?;
    refuse_refused(offer, standing)?;
    standing.no_room.map_or(Ok(()), |full| Err(order_problems::no_room_to_sell(full)))
}

/// `Err` if nothing gets to the number of an order that is to take the place of a refused one. Its
/// claim says whether there is room.
pub async fn refuse_unless_reached(
    service: &Service,
    offer: &Offer,
    ring: &KeyRing,
    ledger: &Ledger,
    order: &Order,
) -> Result<(), Problem> {
    let standing = standing(service, offer, ring, ledger, order).await;
    refuse_refused(offer, standing.map_err(|_| problems::ledger_down())?)
}

async fn standing(
    service: &Service,
    offer: &Offer,
    ring: &KeyRing,
    ledger: &Ledger,
    order: &Order,
) -> Result<Standing, LedgerError> {
    let number = number(offer.sms.as_ref(), order);
    match offer.numbers.as_ref().zip(number) {
        Some((rules, number)) => ledger.standing(service.room_query(ring, rules, &number)).await,
        None => Ok(Standing::default()),
    }
}

fn refuse_refused(offer: &Offer, standing: Standing) -> Result<(), Problem> {
    let until = |until| Err(validate::not_for_sale(&refused_until(offer, until)));
    standing.refused_until.map_or(Ok(()), until)
}

fn refused_until(offer: &Offer, until: UnixTime) -> Unfit {
    let member = offer.sms.as_ref().map_or("", |rules| &rules.to);
    let expected = format!(
        "a number that gets messages from here; until {} this one gets none",
        until.rfc_3339()
    );
    Unfit::Schema(vec![fault(member, "refused", expected)])
}
