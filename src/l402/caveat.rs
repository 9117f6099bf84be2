//! What a ticket's caveats say about one service. `key=value`, split at the first `=`; unknown ones
//! are skipped, because a holder may add its own; a repeated one may only narrow (L402
//! specification, "Caveats").

use std::collections::BTreeSet;

use crate::payment_hash::Preimage;
use crate::request_digest::RequestDigest;

/// What the caveats add up to, as far as `service` is concerned.
#[derive(Default)]
pub struct Terms {
    /// Whether `services` names the service.
    pub for_service: bool,
    /// The first `<service>_valid_until`, which is the one that we minted, in Unix seconds.
    pub minted_valid_until: Option<u64>,
    /// The narrowest `<service>_valid_until`, in Unix seconds.
    pub valid_until: Option<u64>,
    /// What it cost when it was minted, in msat.
    pub price_msat: Option<u64>,
    /// How many segments of a text message it cost that much for, by the caveat that we minted.
    pub segments: Option<u32>,
    /// Digest of the one request that the ticket was bought for.
    pub request: Option<RequestDigest>,
    /// How many uses a counted pass has, the narrowest.
    pub uses: Option<u32>,
    /// The preimage that some clients append instead of handing it in beside the macaroon.
    pub preimage: Option<Preimage>,
}

/// A caveat that we know but can't read, or one that widens what an earlier one allowed.
#[derive(Debug, PartialEq, Eq)]
pub struct Unacceptable;

/// The caveats of a new single-use ticket.
pub fn single_use(
    service: &str,
    valid_until: u64,
    price_msat: u64,
    segments: Option<u32>,
    request: &RequestDigest,
) -> Vec<String> {
    let mut caveats = vec![
        format!("services={service}:0"),
        format!("{service}_valid_until={valid_until}"),
        format!("{service}_price_msat={price_msat}"),
    ];
    caveats.extend(segments.map(|segments| format!("{service}_segments={segments}")));
    caveats.push(format!("{service}_request={}", hex::encode(request.as_bytes())));
    caveats
}

/// The caveats of a new pass.
pub fn pass(service: &str, valid_until: u64, price_msat: u64, uses: Option<u32>) -> Vec<String> {
    let mut caveats = vec![
        format!("services={service}:0"),
        format!("{service}_valid_until={valid_until}"),
        format!("{service}_price_msat={price_msat}"),
    ];
    caveats.extend(uses.map(|uses| format!("{service}_uses={uses}")));
    caveats
}

/// Reads the caveats for `service`, in their order.
pub fn read(service: &str, caveats: &[Vec<u8>]) -> Result<Terms, Unacceptable> {
    let mut terms = Terms::default();
    let mut services: Option<BTreeSet<&str>> = None;
    for caveat in caveats {
        let Some((key, value)) =
            std::str::from_utf8(caveat).ok().and_then(|text| text.split_once('='))
        else {
            continue;
        };
        match key {
            "services" => {
                let named = service_list(value).ok_or(Unacceptable)?;
                if services.as_ref().is_some_and(|before| !named.is_subset(before)) {
                    return Err(Unacceptable);
                }
                services = Some(named);
            }
            "preimage" => {
                let named = Preimage::from_hex(value.as_bytes()).ok_or(Unacceptable)?;
                once(&mut terms.preimage, named)?;
            }
            _ => match key.strip_prefix(service).and_then(|rest| rest.strip_prefix('_')) {
                Some("valid_until") => {
                    let until = decimal(value).ok_or(Unacceptable)?;
                    if terms.valid_until.is_some_and(|before| until > before) {
                        return Err(Unacceptable);
                    }
                    terms.minted_valid_until.get_or_insert(until);
                    terms.valid_until = Some(until);
                }
                Some("uses") => {
                    let uses = decimal(value)
                        .and_then(|uses| u32::try_from(uses).ok())
                        .ok_or(Unacceptable)?;
                    if terms.uses.is_some_and(|before| uses > before) {
                        return Err(Unacceptable);
                    }
                    terms.uses = Some(uses);
                }
                Some("price_msat") => {
                    once(&mut terms.price_msat, decimal(value).ok_or(Unacceptable)?)?;
                }
                Some("segments") => terms.read_segments(value)?,
                Some("request") => {
                    let mut digest = [0_u8; 32];
                    hex::decode_to_slice(value, &mut digest).map_err(|_| Unacceptable)?;
                    once(&mut terms.request, RequestDigest::from_bytes(digest))?;
                }
                _ => {}
            },
        }
    }
    terms.for_service = services.is_some_and(|named| named.contains(service));
    Ok(terms)
}

impl Terms {
    /// Ours stands before the request, and what its holder adds behind it.
    fn read_segments(&mut self, value: &str) -> Result<(), Unacceptable> {
        let segments = decimal(value).and_then(|segments| u32::try_from(segments).ok());
        let segments = segments.ok_or(Unacceptable)?;
        match self.segments {
            None if self.request.is_some() => Ok(()),
            _ => once(&mut self.segments, segments),
        }
    }
}

/// Sets what may be said again, but not otherwise.
fn once<T: PartialEq>(slot: &mut Option<T>, value: T) -> Result<(), Unacceptable> {
    match slot {
        Some(before) if *before != value => Err(Unacceptable),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

/// `name:tier,name:tier`; we know only tier 0 but read any.
fn service_list(value: &str) -> Option<BTreeSet<&str>> {
    value
        .split(',')
        .map(|entry| {
            let (name, tier) = entry.split_once(':')?;
            (!name.is_empty() && decimal(tier).is_some()).then_some(name)
        })
        .collect()
}

/// Digits only: `u64::from_str` would take a sign too.
fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(caveats: &[&str]) -> Result<Terms, Unacceptable> {
        let caveats: Vec<Vec<u8>> = caveats.iter().map(|c| c.as_bytes().to_vec()).collect();
        read("sms", &caveats)
    }

    #[test]
    fn what_we_mint_reads_back() {
        let minted =
            single_use("sms", 1_800_000_000, 5_000, Some(2), &RequestDigest::from_bytes([7; 32]));
        let read = terms(&minted.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert!(read.for_service);
        assert_eq!(read.valid_until, Some(1_800_000_000));
        assert_eq!(read.request, Some(RequestDigest::from_bytes([7; 32])));
        assert_eq!((read.price_msat, read.segments), (Some(5_000), Some(2)));
    }

    #[test]
    fn unknown_ones_are_skipped() {
        let read = terms(&[
            "services=sms:0",
            "expiration=5",
            "no equals sign",
            "other_valid_until=1",
            "sms_x=1",
            "=",
            "",
        ])
        .unwrap();
        assert!(read.for_service && read.valid_until.is_none());
        let bytes = vec![b"services=sms:0".to_vec(), vec![0xff, b'=', 0xfe]];
        assert!(super::read("sms", &bytes).unwrap().for_service);
    }

    #[test]
    fn repeated_ones_only_narrow() {
        let read = terms(&["sms_valid_until=100", "sms_valid_until=50"]).unwrap();
        assert_eq!((read.minted_valid_until, read.valid_until), (Some(100), Some(50)));
        assert!(terms(&["sms_valid_until=100", "sms_valid_until=101"]).is_err());
        assert!(terms(&["services=sms:0", "services=sms:0,other:0"]).is_err());
        assert!(terms(&["sms_price_msat=5", "sms_price_msat=5"]).is_ok());
        assert!(terms(&["sms_price_msat=5", "sms_price_msat=4"]).is_err(), "a price is a fact");
        assert!(!terms(&["services=sms:0,other:0", "services=other:0"]).unwrap().for_service);
        let (a, b) = (
            format!("sms_request={}", "aa".repeat(32)),
            format!("sms_request={}", "bb".repeat(32)),
        );
        assert!(terms(&[&a, &a]).is_ok());
        assert!(terms(&[&a, &b]).is_err());
    }

    #[test]
    fn a_holder_adds_no_segments_to_what_was_sold() {
        let request = format!("sms_request={}", "aa".repeat(32));
        let segments = |caveats: &[&str]| terms(caveats).map(|terms| terms.segments);
        assert_eq!(segments(&["sms_segments=2", &request, "sms_segments=2"]), Ok(Some(2)));
        assert!(segments(&["sms_segments=2", &request, "sms_segments=3"]).is_err());
        assert_eq!(segments(&[&request, "sms_segments=9"]), Ok(None));
        assert!(segments(&[&request, "sms_segments=x"]).is_err());
    }

    #[test]
    fn the_uses_of_a_pass_only_get_fewer() {
        let minted = pass("sms", 1_800_000_000, 5_000, Some(10));
        let mut all: Vec<&str> = minted.iter().map(String::as_str).collect();
        assert_eq!(terms(&all).unwrap().uses, Some(10));
        all.push("sms_uses=3");
        assert_eq!(terms(&all).unwrap().uses, Some(3));
        all.push("sms_uses=4");
        assert!(terms(&all).is_err());
        assert!(terms(&["sms_uses=x"]).is_err() && terms(&["sms_uses=99999999999"]).is_err());
        assert_eq!(
            terms(&pass("sms", 5, 5_000, None).iter().map(String::as_str).collect::<Vec<_>>())
                .unwrap()
                .uses,
            None
        );
    }

    #[test]
    fn known_ones_must_be_readable() {
        for bad in [
            "services=",
            "services=sms",
            "services=sms:x",
            "sms_valid_until=",
            "sms_valid_until=+5",
            "sms_valid_until=-1",
            "sms_valid_until=99999999999999999999999",
            "sms_request=zz",
            "sms_price_msat=-1",
            "sms_segments=-1",
            "preimage=12",
        ] {
            assert!(terms(&[bad]).is_err(), "{bad}");
        }
    }
}
