//! Who may look at tickets and change them: whoever knows the token, and no page in the operator's
//! own browser.

use std::net::IpAddr;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What is asked of a request that isn't about health or metrics.
pub struct Guard {
    /// What it has to show as `Authorization: Bearer`; `None` where the listener's address is
    /// enough.
    pub token: Option<Zeroizing<String>>,
    /// Names that this listener may be called by, beside addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// Why a request isn't answered: a status, and what to do about it.
pub(super) type Denied = (StatusCode, &'static str);

impl Guard {
    /// Whether a request may be answered.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Denied> {
        // A page in the operator's own browser must not be able to resolve tickets; nor one whose
        // name was made to lead here.
        if headers.contains_key(ORIGIN) {
            return Err((StatusCode::FORBIDDEN, "this listener is not for browsers"));
        }
        if !headers.get_all(HOST).iter().all(|host| self.is_ours(host.as_bytes())) {
            return Err((
                StatusCode::MISDIRECTED_REQUEST,
                "this listener is called by its address, or by a name in `ops.hosts`",
            ));
        }
        let Some(token) = &self.token else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).map_or(&[][..], |value| value.as_bytes());
        let given =
            given.split_at_checked(7).filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "));
        let is_it = given.is_some_and(|(_, given)| {
            bool::from(given.trim_ascii().ct_eq(token.trim().as_bytes()))
        });
        if is_it {
            return Ok(());
        }
        Err((
            StatusCode::UNAUTHORIZED,
            "send `Authorization: Bearer` with the token of `ops.token`",
        ))
    }

    fn is_ours(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host) else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let name = name.trim_end_matches('.');
        host.parse::<IpAddr>().is_ok()
            || bare.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &Guard, fields: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        guard.admit(&headers).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn names_that_lead_here_by_somebody_else_s_will_are_refused() {
        let guard = Guard { token: None, hosts: vec!["farebox.internal".into()] };
        for host in [
            "127.0.0.1:9402",
            "[::1]:9402",
            "[::1]",
            "::1",
            "localhost",
            "LOCALHOST:1",
            "10.0.0.7",
            "farebox.internal:9402",
            "Farebox.Internal.",
            "localhost.",
        ] {
            assert_eq!(status(&guard, &[("host", host)]), 200, "{host}");
        }
        for host in ["evil.example.com", "evil.example.com:9402", "127.0.0.1.evil.com", "", "a b"] {
            assert_eq!(status(&guard, &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status(&guard, &[("host", "localhost"), ("host", "evil.com")]), 421);
        assert_eq!(status(&guard, &[("host", "localhost"), ("origin", "null")]), 403);
    }

    #[test]
    fn the_token_is_asked_for() {
        let guard = Guard { token: Some("sesame".to_owned().into()), hosts: Vec::new() };
        for (given, expected) in [
            ("Bearer sesame", 200),
            ("bearer  sesame ", 200),
            ("Bearer sesam", 401),
            ("Bearer sesame1", 401),
            ("Bearer ", 401),
            ("Basic sesame", 401),
            ("sesame", 401),
        ] {
            assert_eq!(status(&guard, &[("authorization", given)]), expected, "{given}");
        }
        assert_eq!(status(&guard, &[]), 401);
    }
}
