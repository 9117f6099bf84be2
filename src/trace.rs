//! Which trace a request belongs to, as W3C Trace Context has it (`traceparent`, `tracestate`):
//! taken on from the client, and passed on to the upstream with a span of ours.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Section 3.2 of the specification.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Section 3.3.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// How long a `traceparent` of version 0 is.
const LENGTH: usize = 55;

/// The trace that a request belongs to, and our span in it, which is the request's own id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace {
    id: [u8; 16],
    request: [u8; 8],
    /// The client's span, where it said one.
    parent: Option<[u8; 8]>,
    flags: u8,
}

impl Trace {
    /// Takes on what the client says, or begins a trace, which is `sampled` or not; from here on
    /// the header fields say that this span is the parent of what follows.
    pub fn take_on(headers: &mut HeaderMap, sampled: bool) -> Self {
        let request = loop {
            let span = random().to_be_bytes();
            if span != [0; 8] {
                break span;
            }
        };
        let mut given = headers.get_all(TRACEPARENT).iter();
        let first = given.next().and_then(|value| read(value.as_bytes()));
        let (id, parent, flags) = match first.filter(|_| given.next().is_none()) {
            Some((id, parent, flags)) => (id, Some(parent), flags),
            None => {
                // What belongs to a trace that can't be read belongs to none.
                headers.remove(TRACESTATE);
                let halves = [random() | 1, random()].map(u64::to_be_bytes);
                (halves.concat().try_into().unwrap_or([1; 16]), None, u8::from(sampled))
            }
        };
        let trace = Self { id, request, parent, flags };
        if let Ok(value) = HeaderValue::from_bytes(&trace.text()) {
            headers.insert(TRACEPARENT, value);
        }
        trace
    }

    /// 32 hexadecimal digits.
    pub fn id(&self) -> [u8; 32] {
        let mut digits = [b'0'; 32];
        let _ = hex::encode_to_slice(self.id, &mut digits);
        digits
    }

    /// 16 hexadecimal digits.
    pub fn request(&self) -> [u8; 16] {
        let mut digits = [b'0'; 16];
        let _ = hex::encode_to_slice(self.request, &mut digits);
        digits
    }

    /// The trace's id.
    pub fn bytes(&self) -> [u8; 16] {
        self.id
    }

    /// The id of our span.
    pub fn span(&self) -> [u8; 8] {
        self.request
    }

    /// The id of the client's span.
    pub fn parent(&self) -> Option<[u8; 8]> {
        self.parent
    }

    /// `trace-flags` (section 3.2.2.5).
    pub fn flags(&self) -> u8 {
        self.flags
    }

    fn text(&self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let parts: [(usize, &[u8]); 3] = [(3, &self.id), (36, &self.request), (53, &[self.flags])];
        for (at, bytes) in parts {
            if let Some(place) = text.get_mut(at..at + 2 * bytes.len()) {
                let _ = hex::encode_to_slice(bytes, place);
            }
        }
        text
    }
}

/// Id, the client's span and flags. Of a later version only what version 0 has is read (section
/// 4.3).
fn read(text: &[u8]) -> Option<([u8; 16], [u8; 8], u8)> {
    let is_lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    let known = text.get(..LENGTH).filter(|known| known.iter().all(is_lower))?;
    let mut parts = known.split(|byte| *byte == b'-');
    let (version, id, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_whole = match version {
        b"00" => text.len() == LENGTH,
        b"ff" => false,
        _ => matches!(text.get(LENGTH), None | Some(b'-')),
    };
    let mut bytes = ([0; 16], [0; 8], [0; 1], [0; 1]);
    hex::decode_to_slice(id, &mut bytes.0).ok()?;
    hex::decode_to_slice(span, &mut bytes.1).ok()?;
    hex::decode_to_slice(flags, &mut bytes.2).ok()?;
    hex::decode_to_slice(version, &mut bytes.3).ok()?;
    let is_one = is_whole && parts.next().is_none() && bytes.0 != [0; 16] && bytes.1 != [0; 8];
    // Of the flags only those that are defined (section 3.2.2.5).
    is_one.then_some((bytes.0, bytes.1, bytes.2[0] & 1))
}

/// A number that no other request of this process has, nearly always; nobody may trust it to be
/// unguessable. SplitMix64, begun anew by each thread.
fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(seed());
    }
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_be_bytes(bytes),
        Err(_) => {
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn taken_on(fields: &[(&'static str, &str)]) -> (Trace, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        (Trace::take_on(&mut headers, false), headers)
    }

    #[test]
    fn a_trace_is_taken_on_with_a_span_of_ours() {
        let (trace, headers) = taken_on(&[("traceparent", PARENT), ("tracestate", "a=b")]);
        assert_eq!(&trace.id(), b"4bf92f3577b34da6a3ce929d0e0e4736");
        let span = String::from_utf8(trace.request().to_vec()).unwrap();
        assert_ne!(span, "00f067aa0ba902b7");
        let passed_on = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01");
        assert_eq!(headers["traceparent"], passed_on);
        assert_eq!(headers["tracestate"], "a=b");
    }

    #[test]
    fn what_is_none_begins_another() {
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "no\u{20}trace",
        ] {
            let (trace, headers) = taken_on(&[("traceparent", bad), ("tracestate", "a=b")]);
            assert_ne!(&trace.id(), b"4bf92f3577b34da6a3ce929d0e0e4736", "{bad}");
            assert!(!headers.contains_key("tracestate"), "{bad}");
            assert_eq!(
                read(headers["traceparent"].as_bytes()),
                Some((trace.id, trace.request, 0)),
                "{bad}"
            );
        }
        let (trace, headers) = taken_on(&[("traceparent", PARENT), ("traceparent", PARENT)]);
        assert_ne!(&trace.id(), b"4bf92f3577b34da6a3ce929d0e0e4736", "two of them");
        assert_eq!(headers.get_all("traceparent").iter().count(), 1);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("01{}-more", &PARENT[2..]);
        let (trace, headers) = taken_on(&[("traceparent", &later)]);
        assert_eq!(&trace.id(), b"4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(headers["traceparent"].to_str().unwrap().starts_with("00-"));
    }

    #[test]
    fn no_two_requests_have_one_id() {
        let ids: std::collections::BTreeSet<_> =
            (0..1000).map(|_| taken_on(&[]).0.request()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
