//! What operators say of a service: that its backend is right again, and of numbers that it sends
//! to.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Response, StatusCode};
use serde_json::json;
use tracing::info;

use super::Ops;
use super::audit::{AUDIT, Actor};
use super::response::{say, text};
use crate::ledger::error::LedgerError;
use crate::ledger::messages::{Allowed, RefusedBy};
use crate::order::phone_number::is_e164;
use crate::service::Service;
use crate::sms::number::{is_another_spelling, of_phone};

impl Ops {
    /// `POST /services/NAME/open`, `POST /services/NAME/numbers/NUMBER/refuse` or `/allow`; `rest`
    /// is what comes after `/services`.
    pub(super) async fn about_services(
        &self,
        actor: Actor,
        method: &Method,
        rest: &str,
    ) -> Response<Full<Bytes>> {
        let segments: Vec<&str> = rest.split('/').skip(1).collect();
        let Some(name) = segments.first().filter(|_| method == Method::POST) else {
            return usage();
        };
        let catalogue = self.catalogue.load();
        let Some(service) = catalogue.services.iter().find(|service| &*service.name == *name)
        else {
            let names: Vec<&str> = catalogue.services.iter().map(|one| &*one.name).collect();
            let what = format!("there is no service `{name}`, but there is {}", names.join(", "));
            return say(StatusCode::NOT_FOUND, &what);
        };
        match segments.as_slice() {
            [_, "open"] => opened(service, actor),
            [_, "numbers", number, verb @ ("refuse" | "allow")] => {
                let number = number.replace("%2B", "+").replace("%2b", "+");
                if !is_e164(&number) {
                    return say(StatusCode::BAD_REQUEST, "a number is one such as +491701234567");
                }
                if is_another_spelling(&number) {
                    let whole = of_phone(&number, false).unwrap_or_default();
                    let what = format!("that is written {whole}, and sold so alone");
                    return say(StatusCode::BAD_REQUEST, &what);
                }
                about_number(self, actor, service, &number, verb).await
            }
            _ => usage(),
        }
    }
}

fn usage() -> Response<Full<Bytes>> {
    let usage =
        "POST /services/<name>/open, or /services/<name>/numbers/<number>/refuse (or allow)";
    say(StatusCode::BAD_REQUEST, usage)
}

/// The operator has set right what stopped its sales.
fn opened(service: &Service, actor: Actor) -> Response<Full<Bytes>> {
    let (was_stopped, name) = (service.upstream.sale_stop.open(), &*service.name);
    info!(target: AUDIT, by = %actor, service = name, was_stopped, "operator: opened the sale");
    text(StatusCode::OK, "application/json", format!("{}\n", json!({ "opened": was_stopped })))
}

async fn about_number(
    ops: &Ops,
    actor: Actor,
    service: &Service,
    number: &str,
    verb: &str,
) -> Response<Full<Bytes>> {
    let rules = service.offer.as_ref().and_then(|offer| offer.numbers.as_ref());
    let Some(rules) = rules else {
        let what = "this service asks about no number before it sells, since neither `refused` nor \
                    a preset says when one gets no messages: list it in `sms.deny`";
        return say(StatusCode::CONFLICT, what);
    };
    let hashes = service.number_hashes(&ops.ring, number);
    // By which one number is told from another, and from nothing else.
    let hash = hashes.first().map(|first| hex::encode(first.as_bytes())).unwrap_or_default();
    let done: Result<bool, LedgerError> = match verb {
        "allow" => ops.ledger.allow_numbers(hashes, Allowed::ByOperator).await,
        _ => match service.refused_number(&ops.ring, rules, number, RefusedBy::Operator) {
            Some(refused) => ops.ledger.refuse_number(refused).await.map(|()| false),
            None => Ok(false),
        },
    };
    match done {
        Ok(was_refused) => {
            let name = &*service.name;
            info!(
                target: AUDIT, by = %actor, service = name, number = hash, verb,
                "operator: said of a number"
            );
            let body = json!({ "wasRefused": was_refused });
            text(StatusCode::OK, "application/json", format!("{body}\n"))
        }
        Err(error) => say(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}
