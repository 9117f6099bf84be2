//! One `[[service]]`, checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use toml::Spanned;
use zeroize::Zeroizing;

use super::address::{method, name, path};
use super::answers;
use super::error::{ConfigError, Reporter};
use super::file::{self, BindWord, Input, Reference, ReuseWord};
use super::former;
use super::secret::Value;
use super::units::Span;
use crate::order::schema::Schema;
use crate::order::{Bind, Rules, Takes};
use crate::price::Msat;
use crate::service::{Lookup, TicketKind};
use crate::upstream::Reuse;
use crate::upstream::outcome::Meaning;
use crate::upstream::request::{KeyPlace, is_framing};

/// The header field in which a backend is told our reference, where nothing else is said.
const REFERENCE: HeaderName = HeaderName::from_static("farebox-reference");

/// Longest memo that fits into an invoice, in bytes (BOLT 11 field `d`).
const MAX_MEMO: usize = 639;

/// Longest time of a pass: ten years.
const MAX_PASS: Duration = Duration::from_secs(3660 * 86_400);

/// Most uses of a counted pass; each has a row in the ledger.
const MAX_USES: u32 = 1000;

/// What a client needs in order to be served.
pub enum Ticket {
    /// A payment.
    Paid {
        /// What it buys.
        kind: TicketKind,
        /// What it costs.
        price: Msat,
        /// What a request must look like.
        rules: Rules,
        /// Whether the node's word that it was paid does instead of the preimage.
        without_preimage: bool,
    },
    /// Nothing.
    Free,
}

/// One endpoint of the operator's.
pub struct Service {
    /// Its name in tickets, logs and metrics.
    pub name: Arc<str>,
    /// Names that it had before.
    pub formerly: Vec<Arc<str>>,
    /// Addresses that it had before.
    pub former_addresses: Vec<(Method, String)>,
    /// Its name for people.
    pub title: String,
    /// What its invoices say.
    pub memo: String,
    /// The method that it takes.
    pub method: Method,
    /// The exact path that it answers at.
    pub path: String,
    /// The host that it answers at, in lower case without port; `None` for any.
    pub host: Option<String>,
    /// What a client needs.
    pub ticket: Ticket,
    /// Its backend: an absolute http or https URL.
    pub upstream: Uri,
    /// The operator's own query parameters, beside those in `upstream`.
    pub upstream_query: Vec<(String, Zeroizing<String>)>,
    /// Names of all parameters that the operator fixes.
    pub fixed_names: Vec<String>,
    /// The operator's own header fields.
    pub upstream_headers: Vec<(HeaderName, HeaderValue)>,
    /// PEM file with the roots that an https upstream is verified against; `None` for the system's.
    pub upstream_ca: Option<PathBuf>,
    /// Time limit for the upstream.
    pub timeout: Duration,
    /// What its answers mean.
    pub meaning: Meaning,
    /// Where it takes our name for a request.
    pub key: Option<KeyPlace>,
    /// For how long it throws repeats away by that name, if it does.
    pub remembered: Option<Duration>,
    /// The header field in which it is told our reference for a request.
    pub reference: Option<HeaderName>,
    /// How it is asked what became of a request.
    pub lookup: Option<Lookup>,
    /// When a used connection may carry a request.
    pub reuse: Reuse,
    /// Which of the client's header fields a paid service's upstream gets.
    pub forward_headers: Vec<HeaderName>,
}

pub(super) fn check(
    report: &Reporter<'_>,
    folder: &Path,
    written: file::Service,
    detects: bool,
) -> Result<Service, ConfigError> {
    let name = name(report, &written.name)?;
    let title = written.title.clone().unwrap_or_else(|| name.to_string());
    let memo = match &written.memo {
        Some(memo) if memo.get_ref().len() > MAX_MEMO => {
            return Err(report.at(
                memo.span(),
                format!("`memo` is longer than the {MAX_MEMO} bytes that fit into an invoice"),
            ));
        }
        Some(memo) => memo.get_ref().clone(),
        None => title.chars().take(MAX_MEMO / 4).collect(),
    };
    let method = method(report, &written.method)?;
    if let (Some(wanted), false) = (&written.without_preimage, detects)
        && *wanted.get_ref()
    {
        return Err(
            report.at(wanted.span(), "`without_preimage` needs `detect_payments = true` in [lnd]")
        );
    }
    let ticket = ticket(report, folder, &written, &method)?;
    let reuse = match (written.reuse, &ticket) {
        (ReuseWord::Never, _) => Reuse::Never,
        // A race with the upstream's own idle limit would park a paid ticket.
        (ReuseWord::Recent, Ticket::Paid { .. }) => Reuse::IdleFor(Duration::from_secs(1)),
        (ReuseWord::Recent, Ticket::Free) => Reuse::IdleFor(Duration::MAX),
    };
    let rules = match &ticket {
        Ticket::Paid { rules, .. } => Some(rules),
        Ticket::Free => None,
    };
    let naming = answers::naming(report, &written, rules)?;
    if let (Ticket::Paid { kind: TicketKind::Pass { uses: None, .. }, .. }, Some(given)) =
        (&ticket, &written.idempotency)
    {
        return Err(report.at(
            given.span(),
            "`idempotency` has one key per use: a pass needs `pass_uses` for that",
        ));
    }
    let former = former::read(report, &written.formerly, is_free(&ticket))?;
    let reference = reference(report, &written, &ticket, naming.key.as_ref())?;
    Ok(Service {
        formerly: former.names,
        former_addresses: former.addresses,
        reference,
        meaning: answers::meaning(report, &written)?,
        key: naming.key,
        remembered: naming.remembered,
        lookup: naming.lookup,
        path: path(report, &written.path)?,
        host: written.host.as_ref().map(|host| self::host(report, host)).transpose()?,
        upstream: upstream(report, &written.upstream)?,
        upstream_headers: headers(report, folder, &written)?,
        upstream_query: query(report, folder, &written)?,
        fixed_names: fixed_names(&written),
        upstream_ca: written.upstream_ca.map(|path| folder.join(path)),
        timeout: written.timeout.map_or(Duration::from_secs(10), |span| span.0),
        forward_headers: forward_headers(report, written.forward_headers.as_deref())?,
        name,
        title,
        memo,
        method,
        ticket,
        reuse,
    })
}

fn host(report: &Reporter<'_>, host: &Spanned<String>) -> Result<String, ConfigError> {
    let text = host.get_ref().to_ascii_lowercase();
    let good = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    if good {
        Ok(text)
    } else {
        Err(report
            .at(host.span(), "`host` is a host name without port, such as \"sms.example.com\""))
    }
}

fn upstream(report: &Reporter<'_>, upstream: &Spanned<String>) -> Result<Uri, ConfigError> {
    let fault = |what: &str| report.at(upstream.span(), format!("`upstream` {what}"));
    let uri: Uri = upstream
        .get_ref()
        .parse()
        .map_err(|_| fault("is not a URL, such as \"http://127.0.0.1:8080/send\""))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(fault("should start with http:// or https://"));
    }
    let authority = uri.authority().ok_or_else(|| fault("names no host"))?;
    if authority.as_str().contains('@') {
        return Err(fault(
            "must not carry a password; put it into `upstream_headers` as { env = \"NAME\" } or { \
             file = \"...\" }",
        ));
    }
    Ok(uri)
}

fn headers(
    report: &Reporter<'_>,
    folder: &Path,
    written: &file::Service,
) -> Result<Vec<(HeaderName, HeaderValue)>, ConfigError> {
    let mut headers = Vec::new();
    for (name, value) in &written.upstream_headers {
        let fault = |what: String| {
            report.at(name.span(), format!("`upstream_headers`, {}: {what}", name.get_ref()))
        };
        let parsed = HeaderName::from_bytes(name.get_ref().as_bytes())
            .map_err(|_| fault("no name of a header field".to_owned()))?;
        if is_framing(&parsed) {
            return Err(fault(
                "it is about the connection or the body, and set by Farebox".to_owned(),
            ));
        }
        let (text, is_secret) = match value {
            Value::Plain(text) => (text.clone(), false),
            Value::Secret(source) => (source.read(folder).map_err(fault)?.to_string(), true),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| fault("the value can't stand in a header field".to_owned()))?;
        value.set_sensitive(is_secret);
        headers.push((parsed, value));
    }
    Ok(headers)
}

fn query(
    report: &Reporter<'_>,
    folder: &Path,
    written: &file::Service,
) -> Result<Vec<(String, Zeroizing<String>)>, ConfigError> {
    let fault = |name: &Spanned<String>, what: String| {
        report.at(name.span(), format!("`upstream_query`, {}: {what}", name.get_ref()))
    };
    let read = |(name, value): (&Spanned<String>, &Value)| {
        let value = match value {
            Value::Plain(text) => Zeroizing::new(text.clone()),
            Value::Secret(source) => source.read(folder).map_err(|what| fault(name, what))?,
        };
        Ok((name.get_ref().clone(), value))
    };
    written.upstream_query.iter().map(read).collect()
}

/// Whether a service is given away: only one that is sold has tickets.
fn is_free(ticket: &Ticket) -> bool {
    matches!(ticket, Ticket::Free)
}

/// The header field for our reference. A free service has none: it is passed on as it comes.
fn reference(
    report: &Reporter<'_>,
    written: &file::Service,
    ticket: &Ticket,
    key: Option<&KeyPlace>,
) -> Result<Option<HeaderName>, ConfigError> {
    if is_free(ticket) {
        return match &written.reference {
            Some(given) => Err(report.at(given.span(), "`reference` is for paid services")),
            None => Ok(None),
        };
    }
    let Some(given) = &written.reference else { return Ok(Some(REFERENCE)) };
    let fault = |what: &str| report.at(given.span(), format!("`reference` {what}"));
    let example = "is { header = \"Farebox-Reference\" }, or false for none";
    let Reference::In(place) = given.get_ref() else {
        return match given.get_ref() {
            Reference::Off(false) => Ok(None),
            _ => Err(fault(example)),
        };
    };
    let name = HeaderName::from_bytes(place.header.as_bytes()).map_err(|_| fault(example))?;
    if is_framing(&name) || [HOST, AUTHORIZATION, CONTENT_TYPE, ACCEPT_ENCODING].contains(&name) {
        return Err(fault("names a header field that means something else"));
    }
    if matches!(key, Some(KeyPlace::Header(taken)) if *taken == name) {
        return Err(fault("names the header field of the key against repeats"));
    }
    Ok(Some(name))
}

fn forward_headers(
    report: &Reporter<'_>,
    written: Option<&[Spanned<String>]>,
) -> Result<Vec<HeaderName>, ConfigError> {
    let Some(written) = written else {
        return Ok(["accept", "accept-language", "user-agent", "traceparent"]
            .map(HeaderName::from_static)
            .to_vec());
    };
    // These would change what is asked for, or hand our credential on.
    const REFUSED: [&str; 9] = [
        "authorization",
        "host",
        "macaroon",
        "content-type",
        "content-encoding",
        "range",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ];
    written
        .iter()
        .map(|name| {
            let parsed = HeaderName::from_bytes(name.get_ref().as_bytes()).map_err(|_| {
                report.at(name.span(), format!("`{}` is no name of a header field", name.get_ref()))
            })?;
            if is_framing(&parsed)
                || REFUSED.contains(&parsed.as_str())
                || parsed.as_str().starts_with("if-")
            {
                return Err(report.at(
                    name.span(),
                    format!("`{parsed}` can't be forwarded from a client of a paid service"),
                ));
            }
            Ok(parsed)
        })
        .collect()
}

fn ticket(
    report: &Reporter<'_>,
    folder: &Path,
    written: &file::Service,
    method: &Method,
) -> Result<Ticket, ConfigError> {
    let kind = match (written.ticket, &written.pass_time, &written.pass_uses) {
        (file::Ticket::Pass, Some(time), uses) => TicketKind::Pass {
            time: pass_time(report, time)?,
            uses: pass_uses(report, uses.as_ref())?,
        },
        (file::Ticket::Pass, None, _) => {
            return Err(report.at(written.name.span(), "a pass needs `pass_time`, such as \"24h\""));
        }
        (_, Some(time), _) => {
            return Err(report.at(time.span(), "`pass_time` is for `ticket = \"pass\"`"));
        }
        (_, None, Some(uses)) => {
            return Err(report.at(uses.span(), "`pass_uses` is for `ticket = \"pass\"`"));
        }
        (_, None, None) => TicketKind::SingleUse,
    };
    let price = price(report, written)?;
    let without_preimage =
        written.without_preimage.as_ref().is_some_and(|wanted| *wanted.get_ref());
    match (written.ticket, price, &written.input) {
        (file::Ticket::Free, Some(_), _) => {
            Err(report.at(written.name.span(), "a free service has no price"))
        }
        (file::Ticket::Free, None, Some(input)) => Err(report.at(
            input.span(),
            "`input` is checked for paid services only; a free one is passed on as it comes",
        )),
        (file::Ticket::Free, None, None) => Ok(Ticket::Free),
        (_, None, _) => {
            Err(report
                .at(written.name.span(), "a paid service needs `price_sat` (or `price_msat`)"))
        }
        (_, Some(price), _) => Ok(Ticket::Paid {
            kind,
            price,
            rules: rules(report, folder, written, method)?,
            without_preimage,
        }),
    }
}

fn price(report: &Reporter<'_>, written: &file::Service) -> Result<Option<Msat>, ConfigError> {
    match (&written.price_sat, &written.price_msat) {
        (None, None) => Ok(None),
        (Some(_), Some(msat)) => Err(report
            .at(msat.span(), "there are both `price_sat` and `price_msat`; keep one of the two")),
        (Some(sat), None) => {
            let price = Msat::from_sat(*sat.get_ref());
            price.map(Some).ok_or_else(|| report.at(sat.span(), "`price_sat` should be at least 1"))
        }
        (None, Some(msat)) => {
            let price = Msat::new(*msat.get_ref());
            price.map(Some).ok_or_else(|| {
                report.at(msat.span(), "`price_msat` should be at least 1000, which is 1 sat")
            })
        }
    }
}

fn pass_time(report: &Reporter<'_>, time: &Spanned<Span>) -> Result<Duration, ConfigError> {
    let span = time.get_ref().0;
    if (Duration::from_secs(1)..=MAX_PASS).contains(&span) {
        Ok(span)
    } else {
        Err(report.at(time.span(), "`pass_time` should be between \"1s\" and \"3660d\""))
    }
}

fn pass_uses(
    report: &Reporter<'_>,
    uses: Option<&Spanned<u32>>,
) -> Result<Option<u32>, ConfigError> {
    match uses {
        Some(uses) if !(1..=MAX_USES).contains(uses.get_ref()) => {
            Err(report.at(uses.span(), format!("`pass_uses` should be between 1 and {MAX_USES}")))
        }
        uses => Ok(uses.map(|uses| *uses.get_ref())),
    }
}

fn rules(
    report: &Reporter<'_>,
    folder: &Path,
    written: &file::Service,
    method: &Method,
) -> Result<Rules, ConfigError> {
    let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let content_type = match &written.content_type {
        Some(given) => Some(media_type(report, given)?),
        None => has_body.then(|| "application/json".to_owned()),
    };
    let is_json = |media: &str| media == "application/json" || media.ends_with("+json");
    let takes = match (content_type, written.bind, &written.input) {
        (Some(media), Some(BindWord::Exact), _) if is_json(&media) => {
            Takes::Json(media, Bind::Exact)
        }
        (Some(media), _, _) if is_json(&media) => Takes::Json(media, Bind::Json),
        (_, Some(BindWord::Json), _) => {
            return Err(
                report.at(written.name.span(), "`bind = \"json\"` needs a JSON `content_type`")
            );
        }
        (Some(_), _, Some(input)) => {
            return Err(
                report.at(input.span(), "`input` is a JSON Schema: it needs a JSON `content_type`")
            );
        }
        (Some(media), _, None) => Takes::Bytes(media),
        (None, _, Some(_)) => Takes::Query,
        (None, _, None) => Takes::Nothing,
    };
    let needs_object = names_member(written);
    let Some(input) = &written.input else {
        return Ok(Rules { takes, needs_object, schema: None });
    };
    let fault = |what: String| report.at(input.span(), format!("`input`: {what}"));
    let source = schema_source(folder, input.get_ref()).map_err(fault)?;
    let schema = Schema::compile(source).map_err(fault)?;
    if takes == Takes::Query {
        for fixed in fixed_names(written) {
            if schema.declares(&fixed) {
                return Err(fault(format!(
                    "it declares `{fixed}`, which is fixed by `upstream` or `upstream_query`"
                )));
            }
        }
    }
    Ok(Rules { takes, needs_object, schema: Some(schema) })
}

/// Whether our name for a request becomes a member of its body, which so has to be an object.
fn names_member(written: &file::Service) -> bool {
    let lookup = written.lookup.as_ref().and_then(|lookup| lookup.get_ref().key.as_ref());
    let keys = written.idempotency.iter().chain(lookup);
    keys.into_iter().any(|key| key.get_ref().member.is_some())
}

/// The parameters that the operator fixes: they replace a client's.
fn fixed_names(written: &file::Service) -> Vec<String> {
    let in_address = written.upstream.get_ref().split_once('?').map_or("", |(_, query)| query);
    let in_address =
        form_urlencoded::parse(in_address.as_bytes()).map(|(name, _)| name.into_owned());
    in_address.chain(written.upstream_query.keys().map(|name| name.get_ref().clone())).collect()
}

fn media_type(report: &Reporter<'_>, given: &Spanned<String>) -> Result<String, ConfigError> {
    let text = given.get_ref().to_ascii_lowercase();
    let good = text.split_once('/').is_some_and(|(kind, sub)| {
        [kind, sub].iter().all(|part| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        })
    });
    if good {
        Ok(text)
    } else {
        Err(report.at(
            given.span(),
            "`content_type` is a media type without parameters, such as \"application/json\"",
        ))
    }
}

fn schema_source(folder: &Path, input: &Input) -> Result<serde_json::Value, String> {
    match input {
        Input::Inline(table) => serde_json::to_value(table).map_err(|error| error.to_string()),
        Input::File(path) => {
            let path = folder.join(path);
            let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
        }
    }
}
