//! What pages and descriptions say of a service, and what browsers may do with its answers.

use serde_json::Value;
use toml::Spanned;

use super::written::{TicketWord, Written};
use crate::config::error::{ConfigError, Reporter};
use crate::order::{Rules, Takes, example as made_up};
use crate::service::sms::measured;
use crate::sms::rules::SmsRules;

/// The operator's example, which has to be one that the service sells; else one that is made up
/// from the schema, where that can be.
pub(super) fn example(
    report: &Reporter<'_>,
    written: &Written,
    rules: &Rules,
    sms: Option<&SmsRules>,
) -> Result<Option<Value>, ConfigError> {
    let sold = |value: &Value| rules.order_of(value).and_then(|order| measured(sms, &order));
    let Some(given) = &written.example else {
        return Ok(made_up_example(rules, sms).filter(|value| sold(value).is_ok()));
    };
    let fault = |what: String| report.at(given.span(), format!("`example` {what}"));
    if rules.takes == Takes::Nothing {
        return Err(fault("needs a service that takes something: this one takes nothing".into()));
    }
    let value = serde_json::to_value(given.get_ref()).map_err(|error| fault(error.to_string()))?;
    match sold(&value) {
        Ok(_) => Ok(Some(value)),
        Err(unfit) => Err(fault(format!("is not a request that this service sells: {unfit}"))),
    }
}

/// Made up from the schema, which needn't say that a text is a telephone number.
fn made_up_example(rules: &Rules, sms: Option<&SmsRules>) -> Option<Value> {
    let mut value = made_up::of(rules)?;
    if let (Some(sms), Some(members)) = (sms, value.as_object_mut()) {
        // The first one is nobody's, and so no valid one.
        let number = if sms.strict { "+12025550123" } else { "+1234567890" };
        members.insert(sms.to.clone(), number.into());
        members.entry(sms.text.clone()).or_insert_with(|| "Hello".into());
    }
    Some(value)
}

/// For paid services only.
pub(super) fn answers_probes(
    report: &Reporter<'_>,
    written: &Written,
    is_free: bool,
) -> Result<bool, ConfigError> {
    match set(written.probe.as_ref()) {
        Some(given) if is_free => {
            Err(report.at(given.span(), "`probe` is for paid services: a free one has no 402"))
        }
        // It is for any request: all who are shown it would have it once one of them has paid.
        Some(given) if written.ticket == TicketWord::Pass => Err(report.at(
            given.span(),
            "`probe` is for `ticket = \"single-use\"`: a pass that is shown to all who look would \
             be theirs as soon as one of them has paid",
        )),
        given => Ok(given.is_some()),
    }
}

/// For free services only: what is paid for is never the operator's own page.
pub(super) fn trusts_html(
    report: &Reporter<'_>,
    written: &Written,
    is_free: bool,
) -> Result<bool, ConfigError> {
    match set(written.trusted_html.as_ref()) {
        Some(given) if !is_free => Err(report.at(
            given.span(),
            "`trusted_html` is for free services, where the backend is your own site",
        )),
        given => Ok(given.is_some()),
    }
}

fn set(given: Option<&Spanned<bool>>) -> Option<&Spanned<bool>> {
    given.filter(|given| *given.get_ref())
}
