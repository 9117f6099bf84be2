//! A service that sells text messages: its number and its text are judged beside its schema, and
//! what is sent is the text with the operator's words behind it.

use serde_json::Value;

use super::Offer;
use crate::order::phone_number::is_e164;
use crate::order::schema::Fault;
use crate::order::{Order, Unfit};
use crate::sms::measure::Measure;
use crate::sms::rules::SmsRules;

/// What an order's text is to the network; `None` where a service sells something else.
pub fn measured(rules: Option<&SmsRules>, order: &Order) -> Result<Option<Measure>, Unfit> {
    let Some(rules) = rules else { return Ok(None) };
    let number = order.member(&rules.to);
    let is_number = number.as_ref().and_then(Value::as_str).is_some_and(is_e164);
    let mut faults = Vec::new();
    if !is_number {
        let expected = "one telephone number, such as +1234567890 (E.164)";
        faults.push(fault(&rules.to, "format", expected.to_owned()));
    }
    let text = order.member(&rules.text);
    let judged = match text.as_ref().and_then(Value::as_str) {
        Some(text) => rules.judge(text),
        None => {
            faults.push(fault(&rules.text, "type", "a text".to_owned()));
            return Err(Unfit::Schema(faults));
        }
    };
    match judged {
        Ok(measure) if faults.is_empty() => Ok(Some(measure)),
        Ok(_) => Err(Unfit::Schema(faults)),
        Err(found) => {
            let of_text = |found: crate::sms::rules::TextFault| {
                fault(&rules.text, found.rule, found.expected)
            };
            faults.extend(found.into_iter().map(of_text));
            Err(Unfit::Schema(faults))
        }
    }
}

fn fault(member: &str, rule: &str, expected: String) -> Fault {
    let sentence = format!("`{member}` has to be {expected}");
    Fault { field: member.to_owned(), rule: rule.to_owned(), expected, sentence }
}

impl Offer {
    /// What goes upstream for an order: the same, or with the operator's words behind the text. One
    /// that was sold before there was a text in it goes as it is.
    pub fn sent(&self, order: &Order) -> Order {
        let Some(rules) = self.sms.as_ref().filter(|rules| !rules.suffix.is_empty()) else {
            return order.clone();
        };
        let text = order.member(&rules.text);
        match text.as_ref().and_then(Value::as_str) {
            Some(text) => order.with_member(&rules.text, rules.sent(text)),
            None => order.clone(),
        }
    }
}
