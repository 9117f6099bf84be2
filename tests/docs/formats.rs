//! The formats of tickets, as ARCHITECTURE.md shows them by example.

use farebox::era::Era;
use farebox::keys::{KeyRing, Keys, MasterSecret, WhichRequest};
use farebox::l402::caveat;
use farebox::l402::credential::encode_base64;
use farebox::l402::identifier::{Identifier, TokenId};
use farebox::l402::mint::{self, Ticket};
use farebox::l402::verify::Kind;
use farebox::order::Bind;
use farebox::order::digest::{Bound, digest};
use farebox::payment_hash::Preimage;
use farebox::request_digest::RequestDigest;
use farebox::seal;
use farebox::time::UnixTime;

const BODY: &str = r#"{"message":"Hello","phone_number":"+1234567890"}"#;
const SERVICE: &str = "send-sms";
const VALID_UNTIL: u64 = 1_802_592_600;
const PRICE_MSAT: u64 = 100_000;

fn secret() -> MasterSecret {
    MasterSecret::new([1; 32])
}

fn keys() -> Keys {
    Keys::derive(&secret(), "regtest")
}

fn request() -> RequestDigest {
    let bound = Bound { service: SERVICE, binding: Bind::Json, query: "", body: BODY.as_bytes() };
    digest(keys().digest_key(), &bound)
}

fn identifier() -> Identifier {
    let token_id = TokenId {
        minted: UnixTime::from_seconds(1_800_000_000),
        era: Era::from_bytes([3; 8]),
        random: [4; 16],
    };
    Identifier { payment_hash: Preimage::from_bytes([2; 32]).payment_hash(), token_id }
}

/// The document shows it, at the end of a line of its own in a block.
fn is_shown(what: &str) {
    let document = super::read("ARCHITECTURE.md");
    let shown = document.lines().any(|line| line.trim_end() == what || line.ends_with(what));
    assert!(shown, "ARCHITECTURE.md should show\n{what}");
}

#[test]
fn digest_and_names() {
    is_shown(BODY);
    is_shown(&hex::encode(request().as_bytes()));
    let hash = identifier().payment_hash;
    is_shown(&hash.to_string());
    is_shown(&keys().reference(&hash));
    is_shown(&keys().idempotency_key(&hash, WhichRequest::Bought));
    is_shown(&hex::encode(keys().fingerprint().as_bytes()));
    is_shown(&keys().idempotency_key(&hash, WhichRequest::Rebound));
    is_shown(&hex::encode(keys().number_hash(SERVICE, "+1234567890").as_bytes()));
    is_shown(&keys().report_token(&keys().report_name(&hash, WhichRequest::Bought)));
    is_shown(&keys().inbound_secret(SERVICE));
}

#[test]
fn identifier_and_caveats() {
    is_shown(&hex::encode(identifier().to_bytes()));
    is_shown(&hex::encode(*keys().root_key(&identifier().to_bytes())));
    for said in caveat::single_use(SERVICE, VALID_UNTIL, PRICE_MSAT, None, &request()) {
        is_shown(&said);
    }
}

#[test]
fn the_macaroon_of_both() {
    let identifier = identifier();
    let ring = KeyRing::new(&[secret()], "regtest").unwrap();
    let ticket = Ticket {
        service: SERVICE,
        payment_hash: identifier.payment_hash,
        token_id: identifier.token_id,
        valid_until: VALID_UNTIL,
        price_msat: PRICE_MSAT,
        segments: None,
        kind: Kind::SingleUse { request: request() },
    };
    is_shown(&encode_base64(&mint::ticket(&ring, &ticket)));
}

/// A nonce is random, so what the document shows is opened.
#[test]
fn what_is_sealed_opens() {
    let document = super::read("ARCHITECTURE.md");
    let shown = document.lines().find_map(|line| line.strip_prefix("sealed       "));
    let sealed = hex::decode(shown.unwrap_or_default()).unwrap();
    let (keys, hash) = (keys(), identifier().payment_hash);
    let opened = seal::open(keys.seal_key(), hash.as_bytes(), &sealed).unwrap_or_else(|| {
        let text = br#"{"service":"send-sms"}"#;
        let fresh = seal::seal(keys.seal_key(), keys.fingerprint(), hash.as_bytes(), text);
        panic!("this would do:\nsealed       {}", hex::encode(fresh.unwrap()));
    });
    assert_eq!(opened, br#"{"service":"send-sms"}"#);
}
