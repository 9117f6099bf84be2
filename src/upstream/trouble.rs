//! What an answer says of how a backend is set up, rather than of a request.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, LOCATION};

use super::retry_after::retry_after;

/// A part of a path that is longer, or has more digits, isn't shown.
const SEGMENT_MAX: usize = 12;
const DIGITS_MAX: usize = 3;

/// What an upstream's answer says of how it is set up.
pub enum Trouble {
    /// It refused as it would refuse everybody, such as by a wrong password.
    Refuses,
    /// It refused what was ordered for good, which is its payer's matter where it is a few.
    RefusesOrders,
    /// It is asked too much, and says when it may be asked again.
    Limits(Duration),
    /// It sends whoever asks to another place.
    Redirects(Option<String>),
}

impl Trouble {
    /// Of an answer that sends elsewhere, or asks to wait. `base` is the origin that was asked.
    pub fn of(status: StatusCode, headers: &HeaderMap, base: &str) -> Option<Self> {
        match status {
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                let place = headers.get(LOCATION).and_then(|place| place.to_str().ok());
                Some(Self::Redirects(place.and_then(|place| place_without_secrets(place, base))))
            }
            StatusCode::TOO_MANY_REQUESTS => retry_after(headers).map(Self::Limits),
            _ => None,
        }
    }
}

/// Scheme, host and path: what stands in a query or before an `@` may be a password, and what in a
/// path is long or has many digits a token or a number.
fn place_without_secrets(place: &str, base: &str) -> Option<String> {
    let place = place.split(['?', '#']).next()?;
    let absolute = if place.starts_with('/') && !place.starts_with("//") {
        format!("{base}{place}")
    } else {
        place.to_owned()
    };
    let uri: hyper::Uri = absolute.parse().ok()?;
    let authority = uri.authority()?.as_str();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let is_plain = |segment: &&str| {
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        segment.len() <= SEGMENT_MAX && digits <= DIGITS_MAX && !segment.contains('%')
    };
    let path = uri.path().split('/').map(|segment| if is_plain(&segment) { segment } else { "…" });
    Some(format!("{}://{host}{}", uri.scheme_str()?, path.collect::<Vec<_>>().join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_place_no_more_is_shown_than_the_operator_needs() {
        for (place, shown) in [
            ("/v2?key=k", "http://a:1/v2"),
            ("/retry/+41791234567/token-s3cr3tbot", "http://a:1/retry/…/…"),
            ("/bot123456:ABC-def/send", "http://a:1/…/send"),
            ("https://b/v1/messages/", "https://b/v1/messages/"),
        ] {
            assert_eq!(place_without_secrets(place, "http://a:1").unwrap(), shown);
        }
    }
}
