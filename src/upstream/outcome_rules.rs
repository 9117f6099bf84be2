//! What an upstream's answer means for the ticket. Pure.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName};
use regex::bytes::Regex;
use serde_json::Value;

use crate::outcome::Outcome;

/// What the operator says that answers of this service mean; without it, the status alone decides.
/// Of the conditions that stand for one thing, one has to hold.
#[derive(Default)]
pub struct OutcomeRules {
    /// An answer that matches was delivered. If this is given, no other is.
    pub delivered: Vec<Predicate>,
    /// An answer that matches certainly did nothing, beside those that say so by their status.
    pub not_sent: Vec<Predicate>,
    /// An answer that matches certainly did nothing, and never will for this very request.
    pub refused: Vec<Predicate>,
    /// Of an answer that matches nobody knows what it means, whatever else it matches.
    pub unknown: Vec<Predicate>,
    /// An answer that matches is about the operator's own account or setup, and not about this
    /// request; without it, some statuses are.
    pub trouble: Vec<Predicate>,
}

/// Conditions on an answer; all that are given must hold.
#[derive(Default)]
pub struct Predicate {
    /// Ranges of statuses, first and last.
    pub status: Vec<(u16, u16)>,
    /// Header fields of which one value must match.
    pub headers: Vec<(HeaderName, Regex)>,
    /// Values in a JSON body.
    pub json: Vec<JsonCondition>,
    /// A pattern in the body.
    pub body: Option<Regex>,
}

/// A place in a JSON body and the value that it must have.
pub struct JsonCondition {
    /// JSON Pointer (RFC 6901); a segment `*` stands for every element of an array, of which there
    /// must be one.
    pub pointer: String,
    /// What must stand there: one of these.
    pub one_of: Vec<Value>,
}

/// By status alone: 2xx delivered; 4xx not sent, but for those that may come after the work was
/// begun; all else nobody knows.
pub fn by_status(status: StatusCode) -> Outcome {
    match status.as_u16() {
        200..=299 => Outcome::Delivered,
        408 | 409 | 425 => Outcome::Unknown,
        400..=499 => Outcome::NotSent,
        _ => Outcome::Unknown,
    }
}

impl OutcomeRules {
    /// Whether an answer's body has to be read before it is known what it means.
    pub fn needs_body(&self) -> bool {
        self.deciding().any(Predicate::needs_body)
    }

    /// The conditions that decide on the outcome.
    fn deciding(&self) -> impl Iterator<Item = &Predicate> {
        let certain = self.delivered.iter().chain(&self.not_sent).chain(&self.refused);
        certain.chain(&self.unknown)
    }

    /// What an answer means. `body` is `None` if it could not be read to its end: then no condition
    /// on it holds.
    pub fn of(&self, status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>) -> Outcome {
        let holds =
            |rules: &[Predicate]| rules.iter().any(|rule| rule.holds(status, headers, body));
        let is_unknown = match body {
            Some(_) => holds(&self.unknown),
            // It might say so where nobody can look.
            None => self.unknown.iter().any(|rule| rule.may_be_met(status)),
        };
        if is_unknown {
            return Outcome::Unknown;
        }
        let is_refused = holds(&self.refused);
        match (holds(&self.delivered), is_refused || holds(&self.not_sent)) {
            // The operator's own words contradict each other.
            (true, true) => Outcome::Unknown,
            (true, false) => Outcome::Delivered,
            (false, true) if is_refused => Outcome::Refused,
            (false, true) => Outcome::NotSent,
            (false, false) => match by_status(status) {
                Outcome::Delivered if !self.delivered.is_empty() => Outcome::Unknown,
                // What a cut body would have said, nobody knows.
                Outcome::Delivered if body.is_none() && self.needs_body() => Outcome::Unknown,
                Outcome::NotSent
                    if body.is_none() && self.delivered.iter().any(Predicate::needs_body) =>
                {
                    Outcome::Unknown
                }
                outcome => outcome,
            },
        }
    }

    /// What an answer means of which only the status line could be read: conditions on the rest
    /// are met by nothing in `delivered`, `not_sent` and `refused`.
    pub fn of_status_line(&self, status: StatusCode) -> Outcome {
        if self.unknown.iter().any(|rule| rule.may_be_met(status)) {
            return Outcome::Unknown;
        }
        let by_status_alone = |rule: &Predicate| {
            rule.headers.is_empty() && !rule.needs_body() && rule.has_status(status)
        };
        let is_refused = self.refused.iter().any(by_status_alone);
        let is_not_sent = is_refused || self.not_sent.iter().any(by_status_alone);
        let is_delivered = self.delivered.iter().any(by_status_alone);
        match (is_delivered, is_not_sent) {
            (true, true) => Outcome::Unknown,
            (true, false) => Outcome::Delivered,
            (false, true) if is_refused => Outcome::Refused,
            (false, true) => Outcome::NotSent,
            (false, false) => match by_status(status) {
                Outcome::Delivered if !self.delivered.is_empty() => Outcome::Unknown,
                // It might have said, where nobody can look, that it was taken before.
                _ if self.delivered.iter().any(|rule| rule.may_hold(status)) => Outcome::Unknown,
                outcome => outcome,
            },
        }
    }

    /// Whether a rule looks further than the status.
    pub fn looks_past_status(&self) -> bool {
        self.deciding().any(|rule| rule.needs_body() || !rule.headers.is_empty())
    }

    /// Whether an answer is about the operator's own account or setup.
    pub fn is_trouble(&self, status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>) -> bool {
        match self.trouble.is_empty() {
            false => self.trouble.iter().any(|rule| rule.holds(status, headers, body)),
            true => matches!(status.as_u16(), 401..=405 | 407),
        }
    }

    /// Whether an answer's head alone says that it was delivered, whatever comes after it.
    pub fn is_delivered_by(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        !self.needs_body() && self.of(status, headers, None) == Outcome::Delivered
    }
}

impl Predicate {
    fn needs_body(&self) -> bool {
        !self.json.is_empty() || self.body.is_some()
    }

    /// Whether it holds for some answer of this status, and not for each.
    fn may_hold(&self, status: StatusCode) -> bool {
        (self.needs_body() || !self.headers.is_empty())
            && (self.status.is_empty() || self.has_status(status))
    }

    /// Whether it holds for some answer of this status.
    fn may_be_met(&self, status: StatusCode) -> bool {
        self.status.is_empty() || self.has_status(status)
    }

    fn has_status(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        self.status.iter().any(|(first, last)| (*first..=*last).contains(&status))
    }

    /// Whether an answer matches. `body` is `None` if it could not be read to its end: then no
    /// condition on it holds.
    pub fn holds(&self, status: StatusCode, headers: &HeaderMap, body: Option<&[u8]>) -> bool {
        let header_fits = |(name, pattern): &(HeaderName, Regex)| {
            headers.get_all(name).iter().any(|v| pattern.is_match(v.as_bytes()))
        };
        (self.status.is_empty() || self.has_status(status))
            && self.headers.iter().all(header_fits)
            && self
                .body
                .as_ref()
                .is_none_or(|pattern| body.is_some_and(|body| pattern.is_match(body)))
            && (self.json.is_empty() || body.is_some_and(|body| self.json_holds(body)))
    }

    fn json_holds(&self, body: &[u8]) -> bool {
        // Some write a byte order mark first, which no JSON has (RFC 8259 section 8.1).
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        serde_json::from_slice(body).is_ok_and(|value: Value| {
            self.json.iter().all(|condition| {
                let segments: Vec<&str> = condition.pointer.split('/').skip(1).collect();
                all_one_of(&value, &segments, &condition.one_of)
            })
        })
    }
}

fn all_one_of(value: &Value, segments: &[&str], expected: &[Value]) -> bool {
    match (segments, value) {
        ([], value) => expected.contains(value),
        (["*", rest @ ..], Value::Array(items)) => {
            !items.is_empty() && items.iter().all(|item| all_one_of(item, rest, expected))
        }
        ([first, rest @ ..], Value::Object(members)) => members
            .get(&first.replace("~1", "/").replace("~0", "~"))
            .is_some_and(|inner| all_one_of(inner, rest, expected)),
        ([first, rest @ ..], Value::Array(items)) => first
            .parse()
            .ok()
            .and_then(|index: usize| items.get(index))
            .is_some_and(|inner| all_one_of(inner, rest, expected)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(status: u16) -> StatusCode {
        StatusCode::from_u16(status).unwrap()
    }

    #[test]
    fn the_table() {
        let of = |code| by_status(status(code));
        for delivered in [200, 201, 202, 204, 299] {
            assert_eq!(of(delivered), Outcome::Delivered, "{delivered}");
        }
        for not_sent in [400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 429, 451, 499] {
            assert_eq!(of(not_sent), Outcome::NotSent, "{not_sent}");
        }
        for unknown in [301, 302, 304, 307, 408, 409, 425, 500, 501, 502, 503, 504, 599, 600, 999] {
            assert_eq!(of(unknown), Outcome::Unknown, "{unknown}");
        }
    }

    /// As Vonage answers: always 200, an entry per part, each with a status of its own.
    #[test]
    fn a_success_status_may_carry_a_failure() {
        let parts = |equals: &str| Predicate {
            json: vec![JsonCondition {
                pointer: "/messages/*/status".into(),
                one_of: vec![json!(equals)],
            }],
            ..Predicate::default()
        };
        let rules = OutcomeRules {
            delivered: vec![parts("0")],
            not_sent: vec![parts("4")],
            ..OutcomeRules::default()
        };
        assert!(rules.needs_body());
        let of = |body: Value| {
            rules.of(status(200), &HeaderMap::new(), Some(body.to_string().as_bytes()))
        };
        assert_eq!(of(json!({"messages": [{"status": "0"}, {"status": "0"}]})), Outcome::Delivered);
        assert_eq!(of(json!({"messages": [{"status": "4"}]})), Outcome::NotSent);
        assert_eq!(
            of(json!({"messages": [{"status": "0"}, {"status": "4"}]})),
            Outcome::Unknown,
            "half of it went"
        );
        assert_eq!(of(json!({"messages": []})), Outcome::Unknown);
        assert_eq!(of(json!("nonsense")), Outcome::Unknown);
        assert_eq!(rules.of(status(200), &HeaderMap::new(), None), Outcome::Unknown, "cut short");
        assert_eq!(
            rules.of(status(422), &HeaderMap::new(), Some(b"")),
            Outcome::NotSent,
            "by its status"
        );
        assert_eq!(
            rules.of(status(422), &HeaderMap::new(), None),
            Outcome::Unknown,
            "it might have said that it was taken before"
        );
        assert_eq!(rules.of(status(500), &HeaderMap::new(), None), Outcome::Unknown);
    }

    #[test]
    fn a_list_is_one_of_its_conditions() {
        let failed = Predicate {
            json: vec![JsonCondition {
                pointer: "/messages/*/status".into(),
                one_of: vec![json!("1"), json!("9")],
            }],
            ..Predicate::default()
        };
        let gone = Predicate { status: vec![(503, 503)], ..Predicate::default() };
        let rules = OutcomeRules { not_sent: vec![failed, gone], ..OutcomeRules::default() };
        let of = |code, body: Value| {
            rules.of(status(code), &HeaderMap::new(), Some(body.to_string().as_bytes()))
        };
        let both = json!({"messages": [{"status": "1"}, {"status": "9"}]});
        assert_eq!(of(200, both), Outcome::NotSent);
        let other = json!({"messages": [{"status": "1"}, {"status": "0"}]});
        assert_eq!(of(200, other), Outcome::Delivered);
        assert_eq!(of(503, json!({})), Outcome::NotSent);
    }

    /// As Kannel answers: 202 with a body that starts with `0:`, or with `3:` while its centre is
    /// down.
    #[test]
    fn conditions_add_up_and_contradictions_are_unknown() {
        let body = |pattern| Predicate {
            body: Some(Regex::new(pattern).unwrap()),
            status: vec![(202, 202)],
            ..Predicate::default()
        };
        let not_sent = vec![body("^0: but not")];
        let rules =
            OutcomeRules { delivered: vec![body("^0:")], not_sent, ..OutcomeRules::default() };
        let of =
            |code, text: &str| rules.of(status(code), &HeaderMap::new(), Some(text.as_bytes()));
        assert_eq!(of(202, "0: Accepted for delivery"), Outcome::Delivered);
        assert_eq!(of(200, "0: Accepted for delivery"), Outcome::Unknown);
        assert_eq!(of(202, "3: Queued for later delivery"), Outcome::Unknown);
        assert_eq!(of(202, "0: but not"), Outcome::Unknown);
    }

    #[test]
    fn of_a_status_line_alone_no_more_is_certain_than_of_a_cut_body() {
        let taken = Predicate {
            json: vec![JsonCondition { pointer: "/state".into(), one_of: vec![json!("queued")] }],
            ..Predicate::default()
        };
        let rules = OutcomeRules { delivered: vec![taken], ..OutcomeRules::default() };
        for (code, outcome) in [
            (200, Outcome::Unknown),
            (422, Outcome::Unknown),
            (307, Outcome::Unknown),
            (500, Outcome::Unknown),
        ] {
            assert_eq!(rules.of_status_line(status(code)), outcome, "{code}");
        }
        assert!(rules.looks_past_status());
        let plain = OutcomeRules::default();
        for code in [200, 201, 400, 403, 409, 500] {
            assert_eq!(plain.of_status_line(status(code)), by_status(status(code)), "{code}");
        }
        let exact = |code| Predicate { status: vec![(code, code)], ..Predicate::default() };
        let (delivered, not_sent) = (vec![exact(202)], vec![exact(503)]);
        let rules = OutcomeRules { delivered, not_sent, ..OutcomeRules::default() };
        assert!(!rules.looks_past_status());
        for code in [200, 202, 422, 503, 500] {
            let whole = rules.of(status(code), &HeaderMap::new(), Some(b""));
            assert_eq!(rules.of_status_line(status(code)), whole, "{code}");
        }
    }

    /// As textbee answers: a 400 for a mistaken request, and one after the message may have gone.
    #[test]
    fn what_is_said_to_be_unknown_is_it_whatever_else_it_is() {
        let failed = Predicate {
            status: vec![(400, 400)],
            json: vec![JsonCondition { pointer: "/error".into(), one_of: vec![json!("failed")] }],
            ..Predicate::default()
        };
        let rules = OutcomeRules { unknown: vec![failed], ..OutcomeRules::default() };
        let of = |code, body: Option<&[u8]>| rules.of(status(code), &HeaderMap::new(), body);
        assert_eq!(of(400, Some(br#"{"error":"failed"}"#)), Outcome::Unknown);
        assert_eq!(of(400, Some(br#"{"error":"no device"}"#)), Outcome::NotSent);
        assert_eq!((of(400, None), of(404, None)), (Outcome::Unknown, Outcome::NotSent));
        assert_eq!(rules.of_status_line(status(400)), Outcome::Unknown);
    }

    #[test]
    fn headers_count_too() {
        let predicate = Predicate {
            headers: vec![(HeaderName::from_static("x-state"), Regex::new("^queued$").unwrap())],
            ..Predicate::default()
        };
        let rules = OutcomeRules { not_sent: vec![predicate], ..OutcomeRules::default() };
        let mut headers = HeaderMap::new();
        assert_eq!(rules.of(status(200), &headers, None), Outcome::Delivered);
        headers.insert("x-state", "queued".parse().unwrap());
        assert_eq!(rules.of(status(200), &headers, None), Outcome::NotSent);
        assert!(!rules.needs_body());
    }
}
