//! A request as a command for people.

use super::{Offer, Service};
use crate::order::Order;

/// A request for a service of the gate at `base`, to be pasted into a shell. `order` is what it
/// asks for; without one its body is a file that the reader makes. `authorization` stands in double
/// quotes, so that a shell fills in its variables. Only the request's own text is quoted; the rest
/// is of safe characters.
pub fn command(
    service: &Service,
    offer: &Offer,
    base: &str,
    order: Option<&Order>,
    authorization: Option<&str>,
) -> String {
    let url = format!("{base}{}", service.path);
    let url = match order.and_then(Order::query) {
        Some(query) => format!("{url}?{query}"),
        None => url,
    };
    let mut command = format!("curl -sS -X {} {}", service.method, quoted(&url));
    let content_type = offer.rules.content_type();
    if !content_type.is_empty() {
        command.push_str(&format!(" -H 'Content-Type: {content_type}'"));
    }
    if let Some(authorization) = authorization {
        command.push_str(&format!(" -H \"Authorization: {authorization}\""));
    }
    match order.map(|order| std::str::from_utf8(order.body())) {
        Some(Ok(body)) if !body.is_empty() && !body.contains('\0') => {
            command.push_str(&format!(" --data-binary {}", quoted(body)))
        }
        Some(Ok("")) => {}
        None if content_type.is_empty() => {}
        _ => command.push_str(" --data-binary @request-body"),
    }
    command
}

/// Single quotes make a POSIX shell take everything as it is, but for the single quote itself.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
