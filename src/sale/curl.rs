//! The third step as a command for people.

use hyper::Version;
use hyper::header::HOST;
use hyper::http::request::Parts;

use crate::order::Order;
use crate::service::request::PaidRequest;

/// The third step, to be pasted into a shell once PREIMAGE is set. Only the request's own text is
/// quoted; the rest is of safe characters.
pub(super) fn third_step(
    request: &PaidRequest<'_>,
    order: &Order,
    public_url: Option<&str>,
    token: &str,
) -> String {
    let url = url(request, public_url);
    let url = match order.query() {
        Some(query) => format!("{url}?{query}"),
        None => url,
    };
    let mut command = format!("curl -sS -X {} {}", request.service.method, quoted(&url));
    let content_type = request.offer.rules.content_type();
    if !content_type.is_empty() {
        command.push_str(&format!(" -H 'Content-Type: {content_type}'"));
    }
    command.push_str(&format!(" -H \"Authorization: L402 {token}:$PREIMAGE\""));
    match std::str::from_utf8(order.body()) {
        Ok(body) if !body.is_empty() && !body.contains('\0') => {
            command.push_str(&format!(" --data-binary {}", quoted(body)))
        }
        Ok("") => {}
        _ => command.push_str(" --data-binary @request-body"),
    }
    command
}

/// Single quotes make a POSIX shell take everything as it is, but for the single quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// How payers reach the service: as the operator says, else as this one did.
fn url(request: &PaidRequest<'_>, public_url: Option<&str>) -> String {
    let path = &request.service.path;
    if let Some(public) = public_url {
        return format!("{public}{path}");
    }
    let Parts { uri, headers, version, .. } = &request.head;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    // Routing has read it as host and port; a text that isn't could not have got here.
    let named = match (uri.authority(), host) {
        (Some(authority), _) if *version >= Version::HTTP_2 => authority.as_str(),
        (_, Some(host)) => host,
        (Some(authority), None) => authority.as_str(),
        (None, None) => "localhost",
    };
    let scheme = request.client.scheme();
    format!("{scheme}://{named}{path}")
}
