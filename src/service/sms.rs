//! A service that sells text messages: its number and its text are judged beside its schema, and
//! what is sent is the text with the operator's words behind it.

use std::borrow::Cow;

use serde_json::Value;

use super::Offer;
use crate::order::phone_number::is_e164;
use crate::order::schema::Fault;
use crate::order::{Order, Unfit};
use crate::sms::measure::Measure;
use crate::sms::number::{is_another_spelling, is_valid};
use crate::sms::rules::{SmsRules, TextFault};

/// The number that an order names; `None` where a service sells something else.
pub fn number(rules: Option<&SmsRules>, order: &Order) -> Option<String> {
    order.member(&rules?.to)?.as_str().map(str::to_owned)
}

/// What an order's text is to the network; `None` where a service sells something else.
pub fn measured(rules: Option<&SmsRules>, order: &Order) -> Result<Option<Measure>, Unfit> {
    let Some(rules) = rules else { return Ok(None) };
    let text_of =
        |name: &str| order.member(name).and_then(|value| Some(value.as_str()?.to_owned()));
    let mut faults = Vec::new();
    let number = text_of(&rules.to);
    if !number.as_ref().is_some_and(|number| is_e164(number)) {
        let expected = "one telephone number, such as +12025550123 (E.164)";
        faults.push(fault(&rules.to, "format", expected.to_owned()));
    } else if number.as_ref().is_some_and(|number| is_another_spelling(number)) {
        let expected = "a telephone number as it is dialled from abroad, without the zero that is \
                        dialled inside its country";
        faults.push(fault(&rules.to, "format", expected.to_owned()));
    } else if rules.strict && !number.as_ref().is_some_and(|number| is_valid(number)) {
        let expected = "a number that exists by its country's numbering plan";
        faults.push(fault(&rules.to, "strict", expected.to_owned()));
    }
    let judged = match text_of(&rules.text) {
        Some(text) => rules.judge(&text),
        None => Err(vec![TextFault { rule: "type", expected: "a text".to_owned() }]),
    };
    match judged {
        Ok(measure) if faults.is_empty() => return Ok(Some(measure)),
        Ok(_) => {}
        Err(found) => {
            faults.extend(
                found
                    .into_iter()
                    .map(|TextFault { rule, expected }| fault(&rules.text, rule, expected)),
            );
        }
    }
    Err(Unfit::Schema(faults))
}

/// `Err` if nothing is sold to the number that an order names.
pub(super) fn refuse_denied(offer: &Offer, order: &Order) -> Result<(), Unfit> {
    let (Some(rules), Some(deny)) = (&offer.sms, &offer.deny) else { return Ok(()) };
    match number(Some(rules), order) {
        Some(number) if deny.now().has(&number) => {
            let expected = "a number to which messages are sold; to this one none are";
            Err(Unfit::Schema(vec![fault(&rules.to, "deny", expected.to_owned())]))
        }
        _ => Ok(()),
    }
}

/// What is wrong with a member of an order.
pub(super) fn fault(member: &str, rule: &str, expected: String) -> Fault {
    let sentence = format!("`{member}` has to be {expected}");
    Fault { field: member.to_owned(), rule: rule.to_owned(), expected, sentence }
}

/// A text message as it is sent.
pub struct SentMessage {
    /// The receiver's number, in E.164 form.
    pub to: String,
    /// The text, with the operator's words behind it.
    pub text: String,
    /// What that is to the network.
    pub measure: Measure,
}

impl Offer {
    /// The message that goes upstream for an order that was sold with so many segments. `None`
    /// where it names no number, which only one has that was sold when no text messages were.
    pub fn message(&self, order: &Order, sold: Option<u32>) -> Option<SentMessage> {
        let rules = self.sms.as_ref()?;
        let to = number(Some(rules), order).filter(|number| is_e164(number))?;
        let text = rules.sent(order.member(&rules.text)?.as_str()?, sold);
        let measure = Measure::of(&text);
        Some(SentMessage { to, text, measure })
    }

    /// What goes upstream for an order that was sold with so many segments, as far as that was
    /// counted: the same, or with the operator's words behind the text. One that was sold before
    /// there was a text in it goes as it is.
    pub fn sent<'a>(&self, order: &'a Order, sold: Option<u32>) -> Cow<'a, Order> {
        let Some(rules) = self.sms.as_ref().filter(|rules| !rules.suffix.is_empty()) else {
            return Cow::Borrowed(order);
        };
        let text = order.member(&rules.text);
        match text.as_ref().and_then(Value::as_str) {
            Some(text) => Cow::Owned(order.with_member(&rules.text, rules.sent(text, sold))),
            None => Cow::Borrowed(order),
        }
    }
}
